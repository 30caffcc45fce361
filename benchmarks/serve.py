"""Latency of a ranking over HTTP: 200 candidates x 30 features, one service process, one client process.

    python benchmarks/serve.py [--seconds N] [--rounds N] [--json]

Three forms of request take turns: ids only, whose features the service holds (the headline), all candidate
features inline as JSON, and inline as MessagePack. In the same rounds: the bare model's forward on the same
batches (the floor), and the parts of a ranking timed one by one in this process, which say where the rest
goes. The highest rate is the last of rising rates whose 99th percentile is under 20 ms in two of three tries.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from common import show
from live import (
    NUM_VIEWERS,
    Call,
    OverloadedError,
    candidates_of,
    item_features,
    load,
    mostly,
    percentiles,
    serving,
)

from easq.features.encode import Rows
from easq.features.profiles import Profiles
from easq.features.profiles.rebuild import catch_up
from easq.home.home import Home
from easq.log.base import EventLog
from easq.log.events import EVENTS
from easq.log.packing import pack_floats, pack_ids
from easq.rank.engine import Engine
from easq.rank.parameters import SERVED, Parameters
from easq.rank.query import Query

RATE = 50.0
LIMIT_MS = 20.0
_BODIES = 200


def queries() -> list[dict[str, Any]]:
    """Return what is asked, without any candidate features."""
    random = np.random.default_rng(1)
    return [
        {
            "user_id": f"u{random.integers(NUM_VIEWERS)}",
            "candidates": [f"i{n}" for n in candidates_of(random)],
        }
        for _ in range(_BODIES)
    ]


def forms(asked: list[dict[str, Any]]) -> dict[str, list[Call]]:
    """Return the same queries in three forms."""
    calls: dict[str, list[Call]] = {"ids": [], "json": [], "msgpack": []}
    for query in asked:
        rows = [item_features(int(item[1:])) for item in query["candidates"]]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        packed = {
            name: column if name == "tags" else (pack_floats if name[0] == "n" else pack_ids)(column)
            for name, column in columns.items()
        }
        calls["ids"].append(Call.post("/v1/rank", msgspec.json.encode(query)))
        calls["json"].append(Call.post("/v1/rank", msgspec.json.encode({**query, "features": columns})))
        body = msgspec.msgpack.encode({**query, "features": packed})
        calls["msgpack"].append(Call.post("/v1/rank", body, "application/msgpack"))
    return calls


class Parts:
    """A ranking taken apart in this process, on the parameters and profiles of the service's home."""

    def __init__(self, home: Home, log: EventLog, spare: EventLog, asked: list[dict[str, Any]]) -> None:
        parameters = Parameters(home.recipe)
        name = home.versions.names()[-1]
        parameters.replace(0, home.versions.load(name, SERVED))
        profiles = Profiles.of(home.recipe, log.partitions(EVENTS))
        catch_up(profiles, log)
        self._queries = [msgspec.convert(query, Query) for query in asked]
        self._engine = Engine(home.recipe, profiles, parameters, 20, 5)
        self._parameters, self._profiles, self._spare = parameters, profiles, spare
        self._bodies = [msgspec.json.encode(query) for query in asked]
        self._rows = [self._encode(query) for query in self._queries]
        self._ranked = [self._engine.rank(query, 0) for query in self._queries]

    def _encode(self, query: Query) -> Rows:
        engine, profiles = self._engine, self._profiles
        viewer, candidates = profiles.viewer(query.user_id, 0), profiles.candidates(query.candidates, 0)
        return engine._encoder.encode(viewer, candidates)

    def steps(self) -> dict[str, Callable[[int], Any]]:
        """Return what is timed, each by the number of the query."""
        decoder = msgspec.json.Decoder(Query)

        def reply(n: int) -> bytes:
            ranked = self._ranked[n]
            return msgspec.json.encode({"items": ranked.items, "scores": ranked.scores.tolist()})

        return {
            "forward": lambda n: self._parameters.score(self._rows[n]),
            "rank": lambda n: self._engine.rank(self._queries[n], 0),
            "gather and encode features": lambda n: self._encode(self._queries[n]),
            "decode body": lambda n: decoder.decode(self._bodies[n]),
            "append to the log": lambda n: self._spare.append(
                EVENTS, [msgspec.structs.replace(self._ranked[n].event, event_id=f"{time.monotonic_ns()}")]
            ),
            "encode reply": reply,
        }


def time_parts(parts: Parts, times: dict[str, list[float]]) -> None:
    """Add a round of milliseconds per part."""
    for name, work in parts.steps().items():
        for n in range(_BODIES):
            started = time.perf_counter()
            work(n)
            times.setdefault(name, []).append(1000 * (time.perf_counter() - started))


_TRY_S = 10.0  # a shorter try has too few calls for a 99th percentile


def highest_rate(port: int, calls: list[Call], seconds: float) -> float:
    """Return the last of rising rates whose 99th percentile is under the limit in most tries."""

    def is_fast(rate: float) -> bool:
        try:
            return percentiles(asyncio.run(load(port, calls, rate, seconds, connections=64)))[1] < LIMIT_MS
        except ExceptionGroup as failed:
            if failed.split(OverloadedError)[1] is not None:
                raise
            return False

    best, rate = 0.0, 100.0
    while mostly(partial(is_fast, rate)):
        best, rate = rate, rate + 50
    return best


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="of load per form and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    torch.set_num_threads(1)
    asked = queries()
    calls = forms(asked)
    latencies: dict[str, list[float]] = {form: [] for form in calls}
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, serving(Path(name) / "home") as (home, port):
        with home.open_events() as log, Home(Path(name), home.recipe).open_events() as spare:
            parts = Parts(home, log, spare, asked)
        for form in calls:
            asyncio.run(load(port, calls[form], RATE, 2.0))
        with Home(Path(name), home.recipe).open_events() as parts._spare:
            for _ in range(options.rounds):
                for form in calls:
                    latencies[form] += asyncio.run(load(port, calls[form], RATE, options.seconds))
                time_parts(parts, times)
        rate = highest_rate(port, calls["ids"], max(_TRY_S, options.seconds / 4))
    by_form = {form: percentiles(times_ms) for form, times_ms in latencies.items()}
    median_ms = {part: float(np.median(times_ms)) for part, times_ms in times.items()}
    forward_ms, total_ms = median_ms["forward"], by_form["ids"][0]
    known = sum(median_ms[part] for part in ("rank", "decode body", "append to the log", "encode reply"))
    parts_ms = {
        **median_ms,
        "log entry, order, checks": median_ms["rank"] - forward_ms - median_ms["gather and encode features"],
        "HTTP, threads and the client": total_ms - known,
    }
    result = {
        "p50_ms": total_ms,
        "p99_ms": by_form["ids"][1],
        "forward_p50_ms": forward_ms,
        "total_over_forward": total_ms / forward_ms,
        "max_rps_p99_20ms": rate,
        "forms": {form: {"p50_ms": p50, "p99_ms": p99} for form, (p50, p99) in by_form.items()},
        "parts_p50_ms": parts_ms,
        "requests": {form: len(times_ms) for form, times_ms in latencies.items()},
    }

    def table() -> str:
        lines = [f"{form}: p50 {p50:.2f} ms, p99 {p99:.2f} ms" for form, (p50, p99) in by_form.items()]
        lines += [f"forward alone: {forward_ms:.2f} ms; total over it: {total_ms / forward_ms:.2f}"]
        lines += [f"highest rate with p99 under {LIMIT_MS:.0f} ms: {rate:.0f}/s"]
        lines += [f"  {part}: {ms:.3f} ms" for part, ms in parts_ms.items()]
        return "\n".join(lines)

    show(result, options.json, table)


if __name__ == "__main__":
    main()
