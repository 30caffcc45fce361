"""The linear learner: what it scores, what it pays, and what a log's pass counts."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easq.errors import InputError
from easq.log.events import EVENTS
from easq.log.sqlite import SqliteLog
from easq.prove.bench.linear import LINEAR, LinearReference, LinearSettings
from easq.prove.bench.log_pass import run_log
from tests.learn.test_learner import steps_of
from tests.support.small_worlds import small_recipe, world_events


def test_a_batch_is_scored_before_it_is_learned() -> None:
    _, batches = steps_of(small_recipe("method.kind=behavior"))
    reference = LinearReference(small_recipe(), LinearSettings(crosses=True))
    scores = reference.step(batches[0])
    assert set(scores.by_method) == set(LINEAR)
    for score_N in scores.by_method.values():
        assert np.ptp(score_N) == pytest.approx(0.0)
    for batch in 4 * batches:
        scores = reference.step(batch)
    assert np.std(scores.by_method["linear"]) > 0.01
    assert np.std(scores.by_method["linear_answers"]) > 0.01
    assert ((scores.chance_NK > 0) & (scores.chance_NK < 1)).all()


def test_without_vowpal_wabbit_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "vowpalwabbit":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"easq\[bench\]"):
        LinearReference(small_recipe(), LinearSettings())


def test_a_pass_over_a_log_measures_every_method_alike(tmp_path: Path) -> None:
    recipes = {m: small_recipe(f"method.kind={m}", "training.batch_rows=256") for m in ("behavior", "probe")}
    with SqliteLog(tmp_path / "events.log", 2) as log:
        log.append(EVENTS, world_events(120))
        metrics = run_log(recipes, log, LinearSettings())
    methods = {method for method, _ in metrics.name_of}
    assert methods == {"behavior", "probe", "popularity", *LINEAR}
    for method in ("behavior", "probe", *LINEAR):
        for metric in ("pair_accuracy", "auc/like", "sat/auc_all"):
            interval = metrics.tally.interval(metrics.name_of[method, metric])
            assert 0 <= interval.low <= interval.value <= interval.high <= 1
    same = [metrics.tally.interval(metrics.name_of[m, "auc/like"]) for m in ("behavior", "probe")]
    assert same[0] == same[1]
    other = [
        metrics.tally.interval(metrics.name_of[m, "pair_accuracy"]) for m in ("linear", "linear_answers")
    ]
    assert other[0] != other[1]
