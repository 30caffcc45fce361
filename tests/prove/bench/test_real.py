"""Real logs, thinned: here the log of a small world stands for one, because its answers can be counted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easq.errors import InputError
from easq.log.events import EVENTS, Answered, Event
from easq.log.sqlite import SqliteLog
from easq.prove.bench.linear import LinearSettings
from easq.prove.bench.real import results, run_own
from easq.prove.bench.real_pass import is_kept, run_real, thin
from tests.support.replay_process import make_log
from tests.support.small_plan import small_bench
from tests.support.small_worlds import small_recipe

RECIPE = small_recipe("method.kind=behavior", "training.batch_rows=256")


def events_of(log: SqliteLog) -> list[Event]:
    return [e for p, end in enumerate(log.end_offsets(EVENTS)) for e in log.read(EVENTS, p, 0, end)]


def answered(events: list[Event]) -> set[tuple[str, str]]:
    return {(e.request_id, e.item_id) for e in events if isinstance(e, Answered)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_log(tmp_path_factory.mktemp("real"), views=6000)


def test_thinning_takes_out_answers_and_nothing_else(whole: Path, tmp_path: Path) -> None:
    with SqliteLog(whole) as log, SqliteLog(tmp_path / "part.log", partitions=3) as part:
        held = thin(log, part, RECIPE, kept=0.3, seed=1)
        before, after = events_of(log), events_of(part)
    assert [e for e in before if not isinstance(e, Answered)] == [
        e for e in after if not isinstance(e, Answered)
    ]
    assert len(answered(after)) + len(held) == len(answered(before)) > 300
    assert len(answered(after)) == pytest.approx(0.3 * len(answered(before)), rel=0.25)


def test_a_smaller_share_is_part_of_a_larger_one(whole: Path) -> None:
    with SqliteLog(whole) as log:
        answers = [e for e in events_of(log) if isinstance(e, Answered)]
    few, many = ([is_kept(e, share, 5) for e in answers] for share in (0.1, 0.5))
    assert all(m for f, m in zip(few, many, strict=True) if f)
    assert np.mean(many) == pytest.approx(0.5, abs=0.07)
    assert [is_kept(e, 0.5, 6) for e in answers] != many


def test_methods_are_scored_on_what_was_held_back(whole: Path) -> None:
    recipes = {m: small_recipe(f"method.kind={m}", "training.batch_rows=256") for m in ("behavior", "easq")}
    with SqliteLog(whole) as log:
        result = run_real(recipes, log, kept=0.2, seeds=(1, 2), linear=LinearSettings())
        total = len(answered(events_of(log)))
    for scored in result.values():
        assert scored.learned + scored.held == pytest.approx(2 * total, rel=0.03)
        assert scored.held > 3 * scored.learned
        interval = scored.tally.interval("sat/raw_auc")
        assert 0 < interval.low < interval.value < interval.high < 1
    names = result["behavior"].tally.names()
    assert {"popularity/sat/auc", "random/sat/auc", "sat/auc", "pair_accuracy"} <= set(names)
    assert {"linear/pair_accuracy", "linear_ridge/sat/auc", "linear_answers/sat/raw_auc"} <= set(names)
    assert result["behavior"].tally.interval("linear/pair_accuracy").low > 0.5
    assert result["behavior"].tally.interval("random/sat/auc").low < 0.5


def test_seeds_differ_in_their_first_parameters_too(whole: Path) -> None:
    with SqliteLog(whole) as log:
        # No answer is read, so nothing else moves the order of behavior.
        one, two = (run_real({"behavior": RECIPE}, log, kept=0.5, seeds=(seed,)) for seed in (1, 2))
    found = [result["behavior"].tally.interval("pair_accuracy").value for result in (one, two)]
    assert found[0] != found[1]


def test_a_log_of_ones_own_is_run_with_its_recipe_and_once(whole: Path, tmp_path: Path) -> None:
    bench, watched = small_bench(tmp_path), []

    def watch(name: str, total: int) -> Callable[[int, int], None]:
        watched.append(name)
        return lambda done, whole: None

    run_own(bench, whole, watch, methods=["behavior", "linear"])
    (result,) = results(bench)
    assert list(result.methods) == ["behavior", "popularity", "random", "linear"]
    assert result.methods["linear"].metrics["pair_accuracy"][0] is not None
    run_own(bench, whole, watch, methods=["behavior", "linear"])
    assert watched == ["own, 50% of answers"]
    with pytest.raises(InputError, match="--method: got linear; allowed for this log, with one that is not"):
        run_own(bench, whole, watch, methods=["linear"])
    with pytest.raises(InputError, match="--log: there is no log at"):
        run_own(bench, tmp_path / "none.log", watch)
