"""Seconds and memory of a whole A/B report, from the log file to the HTML file.

    python benchmarks/ab.py [--events N] [--log FILE] [--json]

A world lives one day of 100,000 requests of ten views, which the log then holds on every day, on each
of them without a quarter of the viewers. From the eighth day on requests bear arms. Writing the log is not
timed. The report is `easq ab report` in a process of its own: its wall-clock time, its start and all
imports among it, its processor time, and the most memory that the largest of its processes had
resident: all together hold at most that times one more than the processes. With
`--log` the log is kept there and used again.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from common import RATES, RECIPE, show

from easq.log.events import EVENTS, Answered, Asked, Behavior, Event, Request
from easq.log.sqlite import SqliteLog
from easq.prove.ab.sums import DAY_MS
from easq.recipe.assignment import Arms
from easq.recipe.read import read_recipe
from easq.sources.world.recording import events
from easq.sources.world.simulate import World

VIEWERS, REQUESTS_A_DAY, PRE_DAYS, AWAY = 20_000, 100_000, 7, 0.25
TRIAL = """
[[experiments]]
name = "trial"
days = 28
arms = [{ name = "control" }, { name = "treatment" }]
guardrails = [{ metric = "watch_time" }, { metric = "hate" }]
"""


def write_log(path: Path, recipe: Path, num_events: int) -> None:
    """Write a log of `num_events` events or a little more."""
    arms = Arms.of(read_recipe(recipe))
    labels = {f"u{n}": arms.label(f"u{n}", {}) for n in range(VIEWERS)}
    world = World(1, RATES, VIEWERS, 3000)
    world.views_per_day = REQUESTS_A_DAY * world.candidates
    day: list[Event] = []
    for chunk in world.chunks(REQUESTS_A_DAY):
        day += events(world, chunk)
    day.sort(key=lambda event: event.ts)
    written = number = 0
    with SqliteLog(path) as log:
        while written < num_events:
            is_away_U = np.random.default_rng(number).random(VIEWERS) < AWAY
            away = {f"u{n}" for n in np.flatnonzero(is_away_U).tolist()}
            moved = [_moved(e, number, labels) for e in day if e.user_id not in away]
            moved = moved[: num_events - written + 1]
            for start in range(0, len(moved), 50_000):
                log.append(EVENTS, moved[start : start + 50_000])
            written, number = written + len(moved), number + 1


def _moved(event: Event, day: int, labels: dict[str, str]) -> Event:
    """Return the event as of another day."""
    changes: dict[str, Any] = {"event_id": f"{day:03d}{event.event_id}", "ts": event.ts + day * DAY_MS}
    if isinstance(event, Request) and day >= PRE_DAYS:
        changes["arm"] = labels[event.user_id]
    elif isinstance(event, Behavior | Asked | Answered):
        changes["request_id"] = f"{day:03d}{event.request_id}"
    return msgspec.structs.replace(event, **changes)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--log", type=Path, help="where the log is kept, or is already")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        recipe, report = Path(name) / "trial.toml", Path(name) / "report.html"
        recipe.write_text(RECIPE.read_text() + TRIAL)
        log = options.log or Path(name) / "trial.log"
        if not log.exists():
            write_log(log, recipe, options.events)
        easq = Path(sys.executable).parent / "easq"
        words = ["ab", "report", "trial", "--log", log, "--recipe", recipe, "--out", report, "--json"]
        started = time.perf_counter()
        done = subprocess.run([easq, *words], check=True, capture_output=True)
        seconds = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = msgspec.json.decode(done.stdout)
        result = {
            "events": found["counts"]["events"],
            "views": found["counts"]["views"],
            "viewers": sum(arm["viewers"] for arm in found["sample_ratio"]["arms"]),
            "days": found["days_run"],
            "log_mb": log.stat().st_size / 1e6,
            "seconds": seconds,
            "events_per_second": found["counts"]["events"] / seconds,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "processes": min(4, len(os.sched_getaffinity(0))),
            "peak_rss_mb_of_the_largest": used.ru_maxrss / 1024,
            "report_mb": report.stat().st_size / 1e6,
        }
    show(result, options.json, lambda: "\n".join(f"{name}: {value:,.0f}" for name, value in result.items()))


if __name__ == "__main__":
    main()
