"""Latency of an offer over HTTP: 200 a second, the service on one core and the client on another.

    python benchmarks/offer.py [--seconds N] [--json]

Every offer is of another view, so each is decided; a viewer has 60 views and more. Twice: with the paper's
rate, where hardly an offer waits for the disk, and with every view asked, where every offer does.
"""

import argparse
import asyncio
import os
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
from common import show
from live import Call, free_port, live_recipe, load, percentiles, running, wait_until

from easq.events import EVENTS, Request
from easq.home import open_home
from easq.schema import Ask

RATE = 200.0
_ITEMS = 20
_VIEWERS = 100
_EVERY = Ask(rate=1.0, cool_down_minutes=0.0, max_per_session=100, max_per_day=100)


def views(home: Path, ask: Ask, number: int) -> list[Call]:
    """Make a home whose log holds rankings of now; return offers of their views."""
    recipe = msgspec.structs.replace(live_recipe(), ask=ask)
    recipe = msgspec.structs.replace(recipe, join=msgspec.structs.replace(recipe.join, answer_window=60.0))
    now_ms = time.time_ns() // 1_000_000
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
    body = msgspec.json.encode(
        {"user_id": "u", "request_id": "r", "item_id": "i", "play_ms": 8000, "ratio": 0}
    )
    call = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/questionnaire/offer", body, {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(call) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def measure(ask: Ask, seconds: float, cores: list[int]) -> tuple[float, float, float]:
    """Return median, 99th percentile and the share of offers that asked."""
    asked = 0

    def count(_: Call, body: bytes) -> None:
        nonlocal asked
        asked += body.startswith(b'{"show":true')

    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        calls = views(Path(folder) / "home", ask, round(RATE * (seconds + 2)))
        os.sched_setaffinity(0, {cores[0]})
        with running(Path(folder) / "home", "serve", port=port):
            os.sched_setaffinity(0, {cores[-1]})
            wait_until(lambda: takes_offers(port), "a service that takes offers")
            warm = round(RATE)
            asyncio.run(load(port, calls[:warm], RATE, 1.0))
            asked = 0
            latencies = asyncio.run(load(port, calls[warm:], RATE, seconds, on_reply=count))
    return (*percentiles(latencies), asked / len(latencies))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="of load for each of the two")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    p50, p99, asked = measure(Ask(), options.seconds, cores)
    every_p50, every_p99, every = measure(_EVERY, options.seconds, cores)
    found = {
        "p50_ms": p50,
        "p99_ms": p99,
        "asked": asked,
        "every_asked_p50_ms": every_p50,
        "every_asked_p99_ms": every_p99,
        "every_asked": every,
        "offers_per_second": RATE,
    }

    def table() -> str:
        return (
            f"{RATE:g} offers a second, service on one core          p50 ms   p99 ms   asked\n"
            f"the paper's rate                                 {p50:8.2f} {p99:8.2f} {asked:7.1%}\n"
            f"every view asked                                 {every_p50:8.2f} {every_p99:8.2f} {every:7.1%}"
        )

    show(found, options.json, table)


if __name__ == "__main__":
    main()
