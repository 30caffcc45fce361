"""Latency of an offer over HTTP, at 200 per second, with the service on one core and the client on another.

    python benchmarks/offer.py [--seconds N] [--json]

Every offer is for a new view, so each is decided. A viewer has 60 or more views. There are two runs: with the
paper's rate, where hardly any offer waits for the disk, and with every view asked, where every offer does.
The same rounds include calls of /health/live, which do nothing: they show the cost of the machine and HTTP.
"""

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
from common import show
from live import HOST, Call, free_port, live_recipe, load, percentiles, running, wait_until

from easq.home.home import open_home
from easq.log.events import EVENTS, Request
from easq.recipe.questionnaire import AskSettings
from easq.service.client import Client
from easq.service.client_replies import ClientError
from easq.service.http.connection import http_request

RATE = 200.0
_ROUNDS = 3
_NOTHING = Call(http_request("GET", "/health/live", {"host": HOST}))
_ITEMS = 20
_VIEWERS = 100
_EVERY = AskSettings(rate=1.0, cool_down_minutes=0.0, max_per_session=100, max_per_day=100)


def views(home: Path, ask: AskSettings, number: int) -> list[Call]:
    """Make a home whose log holds current rankings, and return offers of their views."""
    recipe = msgspec.structs.replace(live_recipe(), ask=ask)
    recipe = msgspec.structs.replace(recipe, join=msgspec.structs.replace(recipe.join, answer_window=60.0))
    now_ms = time.time_ns() // 1_000_000 - 8000  # so long, every view was played
    requests = [
        Request(
            event_id=f"r{n}",
            user_id=f"u{n % _VIEWERS}",
            ts=now_ms,
            items=[f"i{n}.{k}" for k in range(_ITEMS)],
            viewer={},
            candidates={},
        )
        for n in range(-(-number // _ITEMS))
    ]
    with open_home(home, recipe).open_events() as log:
        log.append(EVENTS, requests)
    calls = []
    for k in range(_ITEMS):
        for request in requests:
            view = {"user_id": request.user_id, "request_id": request.event_id, "item_id": request.items[k]}
            body = msgspec.json.encode({**view, "play_ms": 8000, "ratio": 0.4})
            calls.append(Call.post("/v1/questionnaire/offer", body))
    return calls


def takes_offers(port: int) -> bool:
    """Return whether the service has caught up with its log."""
    try:
        with Client(f"http://{HOST}:{port}", retries=0) as client:
            client.offer("u", "r", "i", play_ms=8000)
    except ClientError:
        return False
    return True


def measure(ask: AskSettings, seconds: float, cores: list[int]) -> dict[str, float]:
    """Return, for offers and for calls that do nothing, the medians over rounds of percentiles in ms."""
    asked = 0

    def count(_: Call, body: bytes) -> None:
        nonlocal asked
        asked += body.startswith(b'{"show":true')

    port, size = free_port(), round(RATE * seconds)
    offers, nothing = [], []
    with tempfile.TemporaryDirectory() as folder:
        calls = views(Path(folder) / "home", ask, (_ROUNDS + 1) * size)
        os.sched_setaffinity(0, {cores[0]})
        with running(Path(folder) / "home", "serve", port=port):
            os.sched_setaffinity(0, {cores[-1]})
            wait_until(lambda: takes_offers(port), "a service that takes offers")
            asyncio.run(load(port, calls[:size], RATE, min(1.0, seconds)))
            for n in range(1, _ROUNDS + 1):
                nothing.append(percentiles(asyncio.run(load(port, [_NOTHING], RATE, seconds))))
                some = calls[n * size : (n + 1) * size]
                offers.append(percentiles(asyncio.run(load(port, some, RATE, seconds, on_reply=count))))
    (p50, p99), (_, floor) = (np.median(times, axis=0).tolist() for times in (offers, nothing))
    return {"p50_ms": p50, "p99_ms": p99, "floor_p99_ms": floor, "asked": asked / (_ROUNDS * size)}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of load in each round")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    usual = measure(AskSettings(), options.seconds, cores)
    every = measure(_EVERY, options.seconds, cores)

    def table() -> str:
        lines = [f"{f'{RATE:g} offers/s, service on one core':44}p50 ms   p99 ms   asked   p99 of nothing"]
        for name, row in (("the paper's rate", usual), ("every view asked", every)):
            numbers = (
                f"{row['p50_ms']:8.2f} {row['p99_ms']:8.2f} {row['asked']:7.1%} {row['floor_p99_ms']:8.2f}"
            )
            lines.append(f"{name:42}{numbers}")
        return "\n".join(lines)

    result = {**usual, **{f"every_asked_{name}": value for name, value in every.items()}}
    show(result, options.json, table)


if __name__ == "__main__":
    main()
