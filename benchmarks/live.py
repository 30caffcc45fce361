"""Shared by the benchmarks of the live system: a home with items, its processes, and an open-loop load.

The load sends at fixed times whatever the replies do, and a latency counts from the time at which its call
was due, so that a server that falls behind shows.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from easq.home.home import Home, open_home
from easq.model.method import read_method
from easq.recipe.read import decode_recipe
from easq.recipe.recipe import Recipe
from easq.service.client import Client
from easq.service.http.connection import Connection, http_request

NUM_ITEMS, NUM_VIEWERS, NUM_CANDIDATES = 20_000, 2_000, 200
HOST = "127.0.0.1"
_START_S = 60.0
_TIMER_S = 0.002


def live_recipe() -> Recipe:
    """Return a recipe of 30 features: 8 of the viewer with a history, 22 of the candidate with two rates."""
    numbers = {"boundaries": [float(b) for b in range(1, 20)]}
    rate = {"boundaries": [0.02, 0.05, 0.1, 0.2, 0.4], "side": "candidate", "kind": "numeric"}
    features: list[dict[str, Any]] = [
        {"name": "user_id", "kind": "categorical", "side": "viewer", "rows": 65536},
        *({"name": f"v{n}", "kind": "categorical", "side": "viewer", "rows": 256} for n in range(6)),
        {"name": "recent_items", "kind": "history", "of": "item_id", "length": 20, "where": "long_view"},
        {"name": "item_id", "kind": "categorical", "side": "candidate", "rows": 65536},
        *({"name": f"c{n}", "kind": "categorical", "side": "candidate", "rows": 4096} for n in range(12)),
        {"name": "tags", "kind": "multi", "side": "candidate", "rows": 4096, "length": 3},
        *({"name": f"n{n}", "kind": "numeric", "side": "candidate", **numbers} for n in range(6)),
        {"name": "long_view_rate", **rate, "rate": {"behavior": "long_view"}},
        {"name": "like_rate", **rate, "rate": {"behavior": "like"}},
    ]
    return decode_recipe(
        {
            "name": "live",
            "features": features,
            "behaviors": [{"name": "long_view"}, {"name": "like"}],
            "join": {"behavior_window": 0.2, "answer_window": 5.0, "lateness": 0.05},
        },
        read_method,
    )


def item_features(n: int) -> dict[str, Any]:
    """Return the features that the platform sends of item number `n`."""
    random = np.random.default_rng([7, n])
    return {
        **{f"c{k}": int(v) for k, v in enumerate(random.integers(0, 1000, 12))},
        **{f"n{k}": float(v) for k, v in enumerate(random.uniform(0, 20, 6).round(3))},
        "tags": [int(v) for v in random.integers(0, 500, 3)],
    }


def candidates_of(random: np.random.Generator) -> list[int]:
    """Draw the numbers of one request's candidates."""
    return [int(n) for n in random.choice(NUM_ITEMS, NUM_CANDIDATES, replace=False)]


@contextlib.contextmanager
def running(home: Path, *roles: str, port: int = 0) -> Iterator[None]:
    """Run roles of a home, each a process with one thread for sums, and stop them at the end."""
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    processes = []
    try:
        for role in roles:
            command = [sys.executable, "-m", "easq.cli", role, "--home", str(home)]
            command += ["--port", str(port)] if role == "serve" else []
            with (home / f"{role}.log").open("ab") as log:
                processes.append(subprocess.Popen(command, env={**os.environ, **one}, stderr=log))
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    """Wait until something is true; raises TimeoutError."""
    deadline = time.monotonic() + _START_S
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not there after {_START_S:.0f} s")
        time.sleep(0.05)


def is_ready(port: int) -> bool:
    """Return whether the service can rank."""
    try:
        return httpx.get(f"http://{HOST}:{port}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def put_items(port: int) -> None:
    """Put all items and viewers."""
    with Client(f"http://{HOST}:{port}") as client:
        for start in range(0, NUM_ITEMS, 2000):
            client.put_items({f"i{n}": item_features(n) for n in range(start, start + 2000)})
        client.put_users(
            {f"u{n}": {f"v{k}": (n * (k + 3)) % 200 for k in range(6)} for n in range(NUM_VIEWERS)}
        )


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[Home, int]]:
    """Make a home with a first version; yield it and the port of its service, which knows all items."""
    home, port = open_home(folder, live_recipe()), free_port()
    with running(home.folder, "learn"):
        wait_until(lambda: bool(home.versions.names()), "a first version")
    with running(home.folder, "serve", port=port):
        wait_until(lambda: is_ready(port), "the service")
        put_items(port)
        yield home, port


@dataclass(frozen=True)
class Call:
    """One prebuilt HTTP request, and the viewer whom it is about."""

    request: bytes
    user: str = ""

    @staticmethod
    def post(path: str, body: bytes, media_type: str = "application/json", user: str = "") -> "Call":
        """Return a POST with a body."""
        headers = {"host": HOST, "content-type": media_type, "accept": media_type}
        return Call(http_request("POST", path, headers, body), user)


class OverloadedError(RuntimeError):
    """The service refused a call because it had more than it could do."""


async def load(
    port: int,
    calls: Sequence[Call],
    rate: float,
    seconds: float,
    connections: int = 16,
    on_reply: Callable[[Call, bytes], None] = lambda *_: None,
) -> list[float]:
    """Send calls at `rate` per second for `seconds`; return each one's milliseconds from when it was due.

    `on_reply` gets every call with the body of its reply. Raises a group of
    RuntimeError for statuses other than 200.
    """
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        connection = Connection(HOST, port)
        await connection.open()  # in advance, so that no call is timed with its opening
        idle.put_nowait(connection)
    latencies: list[float] = []

    async def one(call: Call, due: float) -> None:
        connection = await idle.get()
        status, body = await connection.send(call.request)
        latencies.append(1000 * (time.perf_counter() - due))
        idle.put_nowait(connection)
        if status != 200:
            kind = OverloadedError if status == 503 else RuntimeError
            raise kind(f"status {status}: {body[:200]!r}")
        on_reply(call, body)

    begin = time.perf_counter() + 0.05
    async with asyncio.TaskGroup() as tasks:
        for n in range(round(rate * seconds)):
            due = begin + n / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter() - _TIMER_S))
            # The loop's timers are a millisecond coarse: spin for the rest of the time.
            while time.perf_counter() < due:
                await asyncio.sleep(0)
            tasks.create_task(one(calls[n % len(calls)], due))
    for _ in range(connections):
        await idle.get_nowait().close()
    return latencies


def mostly(passes: Callable[[], bool], tries: int = 3) -> bool:
    """Return whether most tries pass: other work on the machine may spoil one."""
    passed = failed = 0
    while max(passed, failed) <= tries // 2:
        if passes():
            passed += 1
        else:
            failed += 1
    return passed > failed


def percentiles(latencies: Sequence[float]) -> tuple[float, float]:
    """Return median and 99th percentile."""
    p50, p99 = np.percentile(latencies, [50, 99])
    return float(p50), float(p99)
