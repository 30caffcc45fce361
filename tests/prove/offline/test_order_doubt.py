"""A replay tells which behaviors contradict the order of its question's options."""

from pathlib import Path

import pytest

from easq.log.events import EVENTS
from easq.log.sqlite import SqliteLog
from easq.prove.offline.replay import replay
from tests.support.small_worlds import small_recipe, world_events


@pytest.mark.parametrize("options", ["right", "upside down"])
def test_a_replay_tells_it_by_the_order_of_its_recipe(tmp_path: Path, options: str) -> None:
    names = ["dissatisfied", "uncertain", "satisfied"]
    listed = names if options == "right" else names[::-1]
    recipe = small_recipe(f"question.options={listed}", "method.kind=behavior", "evaluation.replicates=200")
    with SqliteLog(tmp_path / "w.log") as log:
        log.append(EVENTS, world_events(700, ask=0.9, answer=0.9))
        result = replay(recipe, log, tmp_path / "out").result
    told = {doubt.behavior: doubt for doubt in result.order_doubt}
    report = (tmp_path / "out" / "report.html").read_text()
    if options == "right":
        assert (told, "standard errors" in report) == ({}, False)
        return
    assert {"like", "long_view"} & told.keys(), result.validity
    assert all(doubt.best == "dissatisfied" and doubt.with_best < doubt.with_worst for doubt in told.values())
    assert "Take care: there is less" in report
