"""Two runs over the same views: their difference, and what cannot be compared."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from easq.errors import InputError
from easq.log.events import EVENTS, Behavior, Request
from easq.log.sqlite import SqliteLog
from easq.prove.offline import view_scores
from easq.prove.offline.paired_runs import check_same_views, paired, read_run
from easq.prove.offline.replay import replay
from easq.prove.offline.view_scores import SCORES
from tests.support.small_worlds import small_recipe, world_events

ONE_WINDOW = "evaluation.window_rows=100000"
EVENTS_OF_WORLD = world_events(300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    runs = {
        "probe": ("method.kind=probe",),
        "again": ("method.kind=probe",),
        "behavior": ("method.kind=behavior",),
        "other_levels": ("method.kind=behavior", "behaviors.like.weight=0.5"),
        "other_meaning": ("method.kind=behavior", "behaviors.like.at_least=2"),
    }
    with SqliteLog(folder / "w.log") as log:
        log.append(EVENTS, EVENTS_OF_WORLD)
        for name, changes in runs.items():
            replay(small_recipe(ONE_WINDOW, *changes), log, folder / name)
    with SqliteLog(folder / "other.log") as log:
        log.append(EVENTS, world_events(300, seed=2))
        replay(small_recipe(ONE_WINDOW, "method.kind=behavior"), log, folder / "other_log")
    return folder


def test_every_exposed_view_has_its_scores_under_the_names_of_the_log(folder: Path) -> None:
    scores = pl.read_parquet(folder / "probe" / SCORES)
    exposed = {
        (event.request_id, item, event.user_id)
        for event in EVENTS_OF_WORLD
        if isinstance(event, Behavior)
        for item in event.items
    }
    found = list(scores.select("request_id", "item_id", "user_id").iter_rows())
    assert len(found) == len(set(found))
    assert set(found) == exposed
    times = {event.event_id: event.ts for event in EVENTS_OF_WORLD if isinstance(event, Request)}
    assert scores["ts"].to_list() == [times[request] for request in scores["request_id"]]
    assert scores["score"].is_finite().all()
    assert (scores["score"] != scores["behavior_score"]).any()
    known = scores["satisfaction"].drop_nulls()
    assert 0 < len(known) < scores.height
    assert known.is_finite().all()
    plain = pl.read_parquet(folder / "behavior" / SCORES)
    assert plain["score"].equals(plain["behavior_score"])
    assert plain["satisfaction"].null_count() == plain.height


def test_the_file_does_not_depend_on_where_its_parts_were_cut(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_scores, "_PART_ROWS", 50)
    with SqliteLog(folder / "w.log") as log:
        replay(small_recipe(ONE_WINDOW, "method.kind=behavior"), log, tmp_path)
    assert (tmp_path / SCORES).read_bytes() == (folder / "behavior" / SCORES).read_bytes()


def test_the_scores_are_those_that_the_metrics_are_made_of(folder: Path) -> None:
    scores = pl.read_parquet(folder / "behavior" / SCORES)
    long_views = [
        {"request_id": event.request_id, "item_id": item, "is_long": value >= 1}
        for event in EVENTS_OF_WORLD
        if isinstance(event, Behavior)
        for item, value in zip(
            event.items,
            np.frombuffer(event.values["long_view"], "<f4")
            if "long_view" in event.values
            else np.zeros(len(event.items)),
            strict=True,
        )
    ]
    label = pl.DataFrame(long_views).group_by("request_id", "item_id").agg(pl.col("is_long").any())
    joined = scores.join(label, on=["request_id", "item_id"], maintain_order="left")
    assert joined.height == scores.height
    expected = roc_auc_score(joined["is_long"].to_numpy(), joined["score"].to_numpy())
    value = read_run(folder / "behavior").result.metrics["auc/long_view"].value
    assert value == pytest.approx(expected, abs=1e-9)


def test_the_difference_is_that_of_the_metrics_and_its_interval_is_paired(folder: Path) -> None:
    first, other = read_run(folder / "behavior"), read_run(folder / "probe")
    check_same_views(first, other)
    pair = paired(first, other)
    assert pair is not None
    assert {"auc/long_view", "pair_accuracy", "sat/auc", "sat/pair_accuracy"} <= pair.metrics.keys()
    assert not [name for name in pair.metrics if name.startswith(("popularity/", "random/", "expert/"))]
    for name, difference in pair.metrics.items():
        ours, theirs = (run.result.metrics[name] for run in (other, first))
        assert difference.value == pytest.approx((ours.value or 0) - (theirs.value or 0))
    pairs, alone = pair.metrics["pair_accuracy"], other.result.metrics["pair_accuracy"]
    assert None not in (pairs.low, pairs.high, alone.low, alone.high)
    # The viewers of both runs are drawn together, so what they share does not widen the interval.
    assert (pairs.high or 0) - (pairs.low or 0) < (alone.high or 0) - (alone.low or 0)


def test_equal_runs_differ_by_nothing(folder: Path) -> None:
    pair = paired(read_run(folder / "probe"), read_run(folder / "again"))
    assert pair is not None
    assert {(m.value, m.low, m.high) for m in pair.metrics.values()} == {(0.0, 0.0, 0.0)}


def test_runs_of_other_logs_and_of_other_meanings_are_refused(folder: Path) -> None:
    first = read_run(folder / "behavior")
    with pytest.raises(InputError, match=r"other_log replayed other log than .*behavior"):
        check_same_views(first, read_run(folder / "other_log"))
    with pytest.raises(InputError, match=r"other behaviors than .*like at least 2"):
        check_same_views(first, read_run(folder / "other_meaning"))
    pair = paired(first, read_run(folder / "other_levels"))
    assert pair is not None
    assert pair.left_out == ("pair_accuracy",)
    assert "auc/like" in pair.metrics


def test_a_run_of_an_earlier_easq_has_no_paired_difference(folder: Path, tmp_path: Path) -> None:
    for name in ("metrics.json", "settings.toml"):
        (tmp_path / name).write_bytes((folder / "probe" / name).read_bytes())
    assert paired(read_run(folder / "behavior"), read_run(tmp_path)) is None
