"""Endurance of `easq up` under steady visits: whether memory is flat, the learner keeps up, anything fails.

    python benchmarks/soak.py [--seconds N] [--rate N] [--json]

Each visit is a ranking of 200 candidates x 30 features, a report of ten views, and of every tenth an answer.
With `--rate 0` the highest steady rate is searched first: the last of rising rates at which, in two tries of
three, rankings have their 99th percentile under 20 ms while the learner is less than two seconds behind.
A try of 90 seconds must confirm it, in which all is done once that is done at intervals, or the rate
below is tried. Memory is judged after the first third, which must be longer than requests wait for answers:
five minutes here.
"""

import argparse
import asyncio
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import show
from live import free_port, is_ready, live_recipe, mostly, percentiles, put_items, wait_until
from trend import Trend, trend_of
from visits import EVENTS_PER_VISIT, VisitResults, Visits

from easq.home.home import Home, open_home
from easq.recipe.read import to_toml

LIMIT_MS, BEHIND_S = 20.0, 2.0
ROLES = ("service", "learner")
_WARM_UP = 1 / 3
_SEARCH_FROM, _SEARCH_BY, _SEARCH_S = 25.0, 1.25, 10.0
_CONFIRM_S = 90.0


@contextlib.contextmanager
def up(folder: Path, port: int) -> Iterator[Home]:
    """Run `easq up` in a folder and yield its home; raises RuntimeError where it does not end well."""
    recipe = folder / "recipe.toml"
    recipe.write_text(to_toml(live_recipe()))
    words = ["up", "--home", str(folder / "home"), "--recipe", str(recipe), "--port", str(port)]
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "easq.cli", *words], stdout=log, stderr=log)
    try:
        wait_until(lambda: is_ready(port), "the service")
        yield open_home(folder / "home")
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    if code:
        raise RuntimeError(f"easq up ended with code {code}: {(folder / 'up.log').read_text()[-2000:]}")


@dataclass
class Samples:
    """What was seen every few seconds: memory in MiB by role, lag in events, freshness in ms."""

    at_s: list[float] = field(default_factory=list)
    memory: dict[str, list[float]] = field(default_factory=lambda: {role: [] for role in ROLES})
    lag: list[int] = field(default_factory=list)
    freshness: list[float] = field(default_factory=list)
    wal_mib: list[float] = field(default_factory=list)
    pids: set[int] = field(default_factory=set)

    def take(self, home: Home) -> None:
        """Look once."""
        statuses = {role: home.read_status(role) for role in ROLES}
        self.at_s.append(time.monotonic())
        for role in ROLES:
            self.memory[role].append(memory_mib(statuses[role]["pid"]))
            self.pids.add(statuses[role]["pid"])
        self.lag.append(statuses["learner"]["lag_events"])
        if (seconds := statuses["service"]["freshness_seconds"]) is not None:
            self.freshness.append(1000 * seconds)
        self.wal_mib.append(sum(file.stat().st_size for file in home.folder.glob("*-wal")) / 2**20)

    async def keep_taking(self, home: Home, every_s: float) -> None:
        """Look every few seconds."""
        while True:
            self.take(home)
            await asyncio.sleep(every_s)

    def trend(self, role: str) -> Trend:
        """Return how the memory of a role went after the warm-up."""
        at_s = np.array(self.at_s) - self.at_s[0]
        warm_s = _WARM_UP * at_s[-1]
        trend = trend_of(at_s[at_s >= warm_s] / 3600, np.array(self.memory[role])[at_s >= warm_s])
        # Until a first request has lived through its window, there is more in memory every minute.
        window_s = 60 * live_recipe().join.answer_window
        return trend if warm_s > window_s else trend._replace(verdict="still filling")


def memory_mib(pid: int) -> float:
    """Return the memory that a process holds, 0 when it is gone."""
    try:
        lines = (Path("/proc") / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


async def soak(home: Home, visits: Visits, rate: float, seconds: float) -> tuple[VisitResults, Samples]:
    """Pay visits and take samples meanwhile."""
    results, samples = VisitResults(), Samples()
    looking = asyncio.create_task(samples.keep_taking(home, min(5.0, seconds / 40)))
    await visits.pay(rate, seconds, results)
    looking.cancel()
    return results, samples


def highest_rate(home: Home, visits: Visits, seconds: float) -> float:
    """Return the highest rate that is steady, 0 if none is."""
    steady, rate = [], _SEARCH_FROM
    while mostly(partial(is_steady, home, visits, rate, seconds)):
        steady.append(rate)
        rate = round(rate * _SEARCH_BY)
    while steady and not is_steady(home, visits, steady[-1], _CONFIRM_S):
        steady.pop()
    return steady[-1] if steady else 0.0


def is_steady(home: Home, visits: Visits, rate: float, seconds: float) -> bool:
    """Return whether rankings are fast at this rate and the learner keeps up, without an error."""
    results, samples = asyncio.run(soak(home, visits, rate, seconds))
    samples.take(home)
    behind_s = samples.lag[-1] / (rate * EVENTS_PER_VISIT)
    p99 = percentiles(results.latencies)[1]
    errors = sum(results.errors.values())
    sys.stderr.write(f"{rate:.0f}/s: p99 {p99:.1f} ms, {behind_s:.2f} s behind, {errors} errors\n")
    return p99 < LIMIT_MS and behind_s < BEHIND_S and not errors


def report(results: VisitResults, samples: Samples, rate: float, seconds: float) -> dict[str, Any]:
    """Return the results of a soak as JSON values."""
    p50, p99 = percentiles(results.latencies)
    return {
        "seconds": seconds,
        "rate": rate,
        "rankings": len(results.latencies),
        "p50_ms": p50,
        "p99_ms": p99,
        "errors": dict(results.errors),
        "restarts": len(samples.pids) - len(ROLES),
        "max_lag_events": max(samples.lag),
        "max_lag_seconds": max(samples.lag) / (rate * EVENTS_PER_VISIT),
        "freshness_p50_ms": float(np.median(samples.freshness)) if samples.freshness else None,
        "freshness_max_ms": max(samples.freshness, default=None),
        "max_wal_mib": max(samples.wal_mib),
        "memory": {role: samples.trend(role)._asdict() for role in ROLES},
    }


def table(result: dict[str, Any]) -> str:
    """Return a report to read."""
    lines = [
        f"{result['rankings']:,} rankings at {result['rate']:.0f}/s in {result['seconds']:.0f} s: "
        f"p50 {result['p50_ms']:.2f} ms, p99 {result['p99_ms']:.2f} ms",
        f"errors: {result['errors'] or 'none'}; restarts: {result['restarts']}",
        f"answers from the start: {result['answers_sent']:,} taken, {result['answers_learned']:,} learned",
        f"the learner was at most {result['max_lag_events']:,} events behind "
        f"({result['max_lag_seconds']:.2f} s of them)",
        f"freshness: median {result['freshness_p50_ms']:.0f} ms, at most {result['freshness_max_ms']:.0f} ms",
        f"write-ahead logs: at most {result['max_wal_mib']:.0f} MiB",
    ]
    for role, trend in result["memory"].items():
        lines.append(
            f"memory of the {role} is {trend['verdict']}: {trend['mean']:.0f} MiB, "
            f"{trend['slope']:+.1f} ± {trend['uncertainty']:.1f} MiB/h"
        )
    return "\n".join([*lines, f"load generator: {100 * result['load_cpu']:.0f} % of a core"])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--rate", type=float, default=50.0, help="visits per second; 0 searches the highest")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory() as name, up(Path(name), port) as home:
        put_items(port)
        visits = Visits(port)
        asyncio.run(soak(home, visits, 20.0, 3.0))  # what is done once is done here
        rate = options.rate or highest_rate(home, visits, _SEARCH_S)
        if not rate:
            raise SystemExit(f"no rate is steady, not even {_SEARCH_FROM:.0f} visits a second")
        used_s, began_s = time.process_time(), time.monotonic()
        results, samples = asyncio.run(soak(home, visits, rate, options.seconds))
        load_cpu = (time.process_time() - used_s) / (time.monotonic() - began_s)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: learned(home) >= visits.answers, "the last answer to be learned")
        result = report(results, samples, rate, options.seconds)
        result |= {"answers_sent": visits.answers, "answers_learned": learned(home), "load_cpu": load_cpu}
    show(result, options.json, lambda: table(result))


def learned(home: Home) -> int:
    """Return how many answers were learned."""
    return int(home.read_status("learner")["answers"])


if __name__ == "__main__":
    main()
