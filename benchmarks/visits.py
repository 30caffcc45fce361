"""Steady visits to a live service: each ranks, then reports what was seen, and some answer.

One process, one loop, kept-alive connections and prebuilt bodies, so that it takes little from the two cores
that it shares with what it measures. Errors do not stop it; they are counted.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from live import HOST, NUM_VIEWERS, Call, candidates_of

from easq.service.http.connection import Connection

LIMIT, ANSWER_EVERY = 10, 10
EVENTS_PER_VISIT = 2 + 2 / ANSWER_EVERY
"""A request and a report, and for one visit in ten an ask and an answer."""

_BODIES = 500
_PACKED = "application/msgpack"
_OPTIONS = ("dissatisfied", "uncertain", "satisfied")


class _Ranked(msgspec.Struct):
    request_id: str
    items: list[str]
    logged: bool


class _BatchCounts(msgspec.Struct):
    accepted: int
    refused: int


@dataclass
class VisitResults:
    """Milliseconds of each ranking from when it was due, and errors by kind."""

    latencies: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


class Visits:
    """Visits to the service at `port`; `answers` counts the answers that were accepted."""

    def __init__(self, port: int, connections: int = 64) -> None:
        random = np.random.default_rng(3)
        self._port, self._num_connections = port, connections
        self.answers = 0
        self._users = [f"u{n}" for n in random.integers(0, NUM_VIEWERS, _BODIES)]
        candidates = [[f"i{n}" for n in candidates_of(random)] for _ in range(_BODIES)]
        self._rank_calls = [
            _call("/v1/rank", {"user_id": user, "candidates": items, "limit": LIMIT})
            for user, items in zip(self._users, candidates, strict=True)
        ]
        share = {"long_view": 0.4, "like": 0.1}
        self._values = [
            {name: (random.random(LIMIT) < p).astype(float).tolist() for name, p in share.items()}
            for _ in range(_BODIES)
        ]
        self._ranked = msgspec.msgpack.Decoder(_Ranked)
        self._counts = msgspec.msgpack.Decoder(_BatchCounts)

    async def pay(self, rate: float, seconds: float, results: VisitResults) -> None:
        """Pay `rate` visits per second, each begun when it is due, whether or not earlier ones have ended."""
        idle: asyncio.Queue[Connection] = asyncio.Queue()
        for _ in range(self._num_connections):
            idle.put_nowait(Connection(HOST, self._port))
        begin = time.perf_counter() + 0.05
        async with asyncio.TaskGroup() as tasks:
            for n in range(round(rate * seconds)):
                due = begin + n / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                tasks.create_task(self._visit(n, due, idle, results))
        while not idle.empty():
            await idle.get_nowait().close()

    async def _visit(
        self, n: int, due: float, idle: asyncio.Queue[Connection], results: VisitResults
    ) -> None:
        connection = await idle.get()
        try:
            status, body = await connection.send(self._rank_calls[n % _BODIES].request)
            results.latencies.append(1000 * (time.perf_counter() - due))
            if status != 200:
                results.errors[f"ranking: {status}"] += 1
                return
            ranked = self._ranked.decode(body)
            if not ranked.logged:
                results.errors["ranking: not logged"] += 1
            events = self._events(n, ranked)
            status, body = await connection.send(_call("/v1/events", {"events": events}).request)
            if status != 200:
                results.errors[f"events: {status}"] += 1
            elif refused := self._counts.decode(body).refused:
                results.errors["events: refused"] += refused
            elif len(events) > 1:
                self.answers += 1
        except (OSError, EOFError) as error:
            results.errors[type(error).__name__] += 1
            connection = Connection(HOST, self._port)
        finally:
            idle.put_nowait(connection)

    def _events(self, n: int, ranked: _Ranked) -> list[dict[str, Any]]:
        request_id = ranked.request_id
        about = {"user_id": self._users[n % _BODIES], "request_id": request_id}
        values = self._values[n % _BODIES]
        seen = {"type": "behavior", "event_id": f"{request_id}b", **about}
        events: list[dict[str, Any]] = [{**seen, "items": ranked.items, "values": values}]
        if n % ANSWER_EVERY == 0:
            view: dict[str, Any] = {
                **about,
                "item_id": ranked.items[0],
                "question": "satisfaction",
                "propensity": 0.1,
            }
            option = _OPTIONS[n // ANSWER_EVERY % 3]
            events.append({"type": "asked", "event_id": f"{request_id}q", **view})
            events.append({"type": "answered", "event_id": f"{request_id}a", **view, "option": option})
        return events


def _call(path: str, body: dict[str, Any]) -> Call:
    return Call.post(path, msgspec.msgpack.encode(body), _PACKED)
