"""How soon an answer is in the ranking: from its acknowledgement to the first ranking that includes it.

    python benchmarks/freshness.py [--seconds N] [--answers-per-second N] [--json]

A live system, service and learner, under 50 rankings/s of 200 candidates, each followed by what its viewer
did. Meanwhile answers come in. A ranking includes an answer if its version was published with offsets beyond
the answer's place on the log; the time counts until that ranking's reply has arrived.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from common import show
from live import (
    HOST,
    Call,
    free_port,
    is_ready,
    live_recipe,
    load,
    percentiles,
    put_items,
    running,
    wait_until,
)
from serve import RATE, queries

from easq.home.home import open_home
from easq.log.base import EventLog
from easq.log.events import EVENTS, UPDATES, Answered, Delta
from easq.log.ids import time_ordered_id, version_name
from easq.service.http.connection import Connection

_NUM_SEEN = 20
_LAST_S = 3.0  # no answers in the last seconds: they might not be included by the end


class LiveRun:
    """The viewers of one run: what they see, do and answer, and when rankings first include it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._random = random.Random(5)
        self._recent: deque[tuple[str, str, list[str]]] = deque(maxlen=200)
        self._to_report: asyncio.Queue[tuple[str, str, list[str]]] = asyncio.Queue()
        self.rankings: list[tuple[float, str]] = []
        self.acknowledged: dict[str, float] = {}

    def on_ranking(self, call: Call, body: bytes) -> None:
        """Note a ranking and have it reported."""
        reply = msgspec.json.decode(body)
        self.rankings.append((time.perf_counter(), reply["version"]))
        view = (call.user, reply["request_id"], reply["items"][:_NUM_SEEN])
        self._recent.append(view)
        self._to_report.put_nowait(view)

    async def behave(self) -> None:
        """Report what was done with every ranking."""
        connection = Connection(HOST, self._port)
        while True:
            user, request_id, items = await self._to_report.get()
            values = {
                "long_view": [float(self._random.random() < 0.4) for _ in items],
                "like": [float(self._random.random() < 0.05) for _ in items],
            }
            await self._send(connection, user, request_id, type="behavior", items=items, values=values)

    async def answer(self, per_second: float, seconds: float) -> None:
        """Answer at random times, and note when each answer was acknowledged."""
        connection = Connection(HOST, self._port)
        options = ("dissatisfied", "uncertain", "satisfied")
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            await asyncio.sleep(self._random.expovariate(per_second))
            if not self._recent:
                continue
            index = self._random.randrange(len(self._recent))
            user, request_id, items = self._recent[index]
            del self._recent[index]
            event_id = await self._send(
                connection,
                user,
                request_id,
                type="answered",
                item_id=items[0],
                question="satisfaction",
                option=self._random.choice(options),
                propensity=0.01,
            )
            self.acknowledged[event_id] = time.perf_counter()

    async def _send(self, connection: Connection, user: str, request_id: str, **fields: Any) -> str:
        event_id = time_ordered_id(time.time_ns() // 1_000_000)
        event = {"event_id": event_id, "user_id": user, "request_id": request_id, **fields}
        call = Call.post("/v1/events", msgspec.json.encode({"events": [event]}))
        status, body = await connection.send(call.request)
        if status != 200 or msgspec.json.decode(body)["accepted"] != 1:
            raise RuntimeError(f"status {status}: {body[:200]!r}")
        return event_id


async def live(
    port: int, calls: list[Call], per_second: float, seconds: float
) -> tuple[LiveRun, list[float]]:
    """Load the system; return what happened and the latencies of the rankings."""
    run = LiveRun(port)
    behaving = asyncio.create_task(run.behave())
    answering = asyncio.create_task(run.answer(per_second, seconds - _LAST_S))
    latencies = await load(port, calls, RATE, seconds, on_reply=run.on_ranking)
    await answering
    behaving.cancel()
    return run, latencies


def first_versions(events: EventLog, updates: EventLog) -> dict[str, str]:
    """Return for each answer on the log the first version that includes it."""
    (start,) = updates.start_offsets(UPDATES)
    deltas = [event for event in updates.read(UPDATES, 0, start, 1 << 20) if isinstance(event, Delta)]
    known: dict[str, str] = {}
    for partition in range(events.partitions(EVENTS)):
        ends = np.array([delta.until[partition] for delta in deltas])
        for offset, event in enumerate(events.read(EVENTS, partition, 0, 1 << 30)):
            if isinstance(event, Answered):
                place = int(np.searchsorted(ends, offset, side="right"))
                if place < len(deltas):
                    known[event.event_id] = version_name(deltas[place].seq)
    return known


def waits_ms(run: LiveRun, known: dict[str, str]) -> list[float]:
    """Return each answer's milliseconds from acknowledgement to the first ranking that included it."""
    waits = []
    for event_id, acknowledged in run.acknowledged.items():
        times = (t for t, version in run.rankings if t >= acknowledged and version >= known[event_id])
        first = next(times, None)
        if first is None:
            raise RuntimeError(f"no ranking included the answer {event_id}")
        waits.append(1000 * (first - acknowledged))
    return waits


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--answers-per-second", type=float, default=5.0)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    calls = [Call.post("/v1/rank", msgspec.json.encode(query), user=query["user_id"]) for query in queries()]
    with tempfile.TemporaryDirectory() as name:
        home, port = open_home(Path(name) / "home", live_recipe()), free_port()
        with running(home.folder, "learn", "serve", port=port):
            wait_until(lambda: is_ready(port), "the live system")
            put_items(port)
            run, latencies = asyncio.run(live(port, calls, options.answers_per_second, options.seconds))
        with home.open_events() as events, home.open_updates() as updates:
            known = first_versions(events, updates)
            steps = updates.end_offsets("steps")[0]
    waits = waits_ms(run, known)
    p50, p99 = percentiles(waits)
    rank_p50, rank_p99 = percentiles(latencies)
    result = {
        "p50_ms": p50,
        "p99_ms": p99,
        "max_ms": max(waits),
        "answers": len(waits),
        "rankings_per_second": RATE,
        "rank_p50_ms": rank_p50,
        "rank_p99_ms": rank_p99,
        "steps_per_second": steps / options.seconds,
        "versions_seen": len({version for _, version in run.rankings}),
    }

    def table() -> str:
        return (
            f"{len(waits)} answers: p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {max(waits):.0f} ms\n"
            f"rankings meanwhile ({RATE:.0f}/s): p50 {rank_p50:.1f} ms, p99 {rank_p99:.1f} ms; "
            f"{result['steps_per_second']:.1f} steps/s, {result['versions_seen']} versions served"
        )

    show(result, options.json, table)


if __name__ == "__main__":
    main()
