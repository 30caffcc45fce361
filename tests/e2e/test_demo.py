"""The closed loop in short: real processes, real HTTP, a verdict, and the truth beside it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from easq.home.home import open_home
from easq.log.events import Answered, Behavior, Offered, Request
from easq.log.packing import unpack_floats
from easq.model.method import read_method
from easq.prove.ab.sums import DAY_MS
from easq.prove.ab.viewer_days import day_number
from easq.prove.closed_loop.before import MissingEstimate
from easq.prove.closed_loop.demo_run import DemoSize, live_together
from easq.prove.closed_loop.life import WATCHED
from easq.recipe.assignment import arm_of
from easq.recipe.read import read_recipe
from easq.recipe.recipe import Recipe
from tests.e2e.test_kill import everything
from tests.support.live_processes import environment
from tests.support.paths import RECIPES

METRICS = {
    *("lt7", "app_stay_time", "watch_time", "video_view", "like", "comment", "follow", "forward", "hate"),
    *("q_rate", "q_satisfied", "q_dissatisfied", "satisfaction"),
}
LOOP = RECIPES / "loop.toml"


def demo(out: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "-m",
        "easq.cli",
        "demo",
        "--fast",
        "--recipe",
        str(LOOP),
        "--out",
        str(out),
        *words,
    ]
    return subprocess.run(
        command, capture_output=True, env=environment(), timeout=300, check=False, text=True
    )


def check_estimate(result: dict[str, Any], requests: list[Request], recipe: Recipe) -> None:
    """Check that rankings were drawn before the days that count alone, and what was made of them."""
    start = recipe.experiments[0].start
    assert start is not None
    before = [request for request in requests if request.ts < day_number(start) * DAY_MS]
    assert 0 < len(before) < len(requests)
    assert all(request.propensities and request.top == WATCHED for request in before)
    assert all((unpack_floats(request.propensities) > 0).all() for request in before)
    assert not any(request.propensities for request in requests if request.ts >= day_number(start) * DAY_MS)
    assert {request.arm for request in before} == {"default"}
    assert 0 < result["requests"] < len(before)
    assert result["to"] < start.isoformat()
    assert 0 < result["true_satisfaction"]["control"] < 1
    if result["lift"] is None:
        assert "even ones" in result["why"]
        assert result["overlaps"] is None
    else:
        assert result["low"] <= result["lift"] <= result["high"]


@pytest.mark.slow
def test_a_demo_without_drawn_rankings_reports_it(tmp_path: Path) -> None:
    size = DemoSize(viewers=30, days=2, since=1, frozen=1)
    run = live_together(
        read_recipe(LOOP, methods=read_method), tmp_path / "demo", 1, size, lambda _: None, lambda _: None
    )
    assert run.estimate == MissingEstimate("no ranking was drawn before it, see [explore]")
    with run.home.open_events() as events:
        assert not any(e.propensities for e in everything(events) if isinstance(e, Request))


def test_simulated_viewers_use_the_system_and_a_verdict_follows(tmp_path: Path) -> None:
    done = demo(tmp_path / "demo", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["verdict"] in ("ship", "keep running", "stop", "no verdict")
    # What is too rare in a few days has no effect yet; what everybody does has one.
    assert result["metrics"].keys() <= METRICS
    assert {"lt7", "watch_time", "video_view", "satisfaction"} <= result["metrics"].keys()
    for change in [*result["metrics"].values(), result["true_satisfaction"]]:
        assert change["low"] <= change["lift"] <= change["high"]
    home = open_home(tmp_path / "demo" / "home")
    with home.open_events() as events:
        logged = everything(events)
    requests = [event for event in logged if isinstance(event, Request)]
    assert {arm_of(request.arm, "probe") for request in requests} == {"", "behavior", "probe"}
    assert sum(len(event.items) for event in logged if isinstance(event, Behavior)) == result["views"]
    assert sum(isinstance(event, Answered) for event in logged) == result["answers"] > 100
    assert sum(isinstance(event, Offered) for event in logged) == result["offers"]
    check_estimate(result["estimate"], requests, home.recipe)
    assert (
        "is better" in Path(result["report"]).read_text() or "not clear" in Path(result["report"]).read_text()
    )
    assert "Traceback" not in (tmp_path / "demo" / "up.txt").read_text()
    (tmp_path / "other" / "home").mkdir(parents=True)
    refused = demo(tmp_path / "other")
    assert refused.returncode == 2
    assert "is not of a demo" in refused.stderr
