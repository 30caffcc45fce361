"""What a service does when more is asked of it than it can: goodput at several times its capacity, and after.

    python benchmarks/overload.py [--times N] [--seconds N] [--json]

Capacity is what 32 connections get that each ask again at once. Then calls arrive at `--times` that rate,
whether or not earlier ones are answered, and right after it at half of the capacity. Goodput is rankings per
second. The service recovers with the first call from which on every call of the quiet time is answered with a
ranking in under 100 ms. One service process and one client process; the client takes part of the machine that
the service would have.
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from common import show
from live import HOST, Call, percentiles, serving
from serve import forms, queries

from easq.service.http.connection import Connection

_CONNECTIONS = 32
_QUIET_MS = 100.0


class Reply(NamedTuple):
    """When a call was due and answered, seconds after the start; status 0 where the connection broke."""

    due: float
    done: float
    status: int


async def capacity(port: int, calls: Sequence[Call], seconds: float) -> float:
    """Return the rankings per second that connections get that each ask again at once."""
    num, end = 0, time.perf_counter() + seconds

    async def ask(first: int) -> None:
        nonlocal num
        connection = Connection(HOST, port)
        await connection.open()
        n = first
        while time.perf_counter() < end:
            status, _ = await connection.send(calls[n % len(calls)].request)
            num += status == 200
            n += _CONNECTIONS
        await connection.close()

    await asyncio.gather(*(ask(n) for n in range(_CONNECTIONS)))
    return num / seconds


async def flood(port: int, calls: Sequence[Call], phases: Sequence[tuple[float, float]]) -> list[Reply]:
    """Send calls at the rate of each phase for its seconds, on as many connections as that takes."""
    idle: list[Connection] = []
    replies: list[Reply] = []
    begin = time.perf_counter()

    async def one(call: Call, due: float) -> None:
        status = 0
        while not status:
            is_new, connection = not idle, idle.pop() if idle else Connection(HOST, port)
            try:
                status, _ = await connection.send(call.request)
                idle.append(connection)
                break
            except (OSError, EOFError):
                await connection.close()
                if is_new:
                    break  # an idle one may have been closed after its last reply; a new one tells
        replies.append(Reply(due - begin, time.perf_counter() - begin, status))

    num, start = 0, begin
    async with asyncio.TaskGroup() as tasks:
        for rate, seconds in phases:
            for n in range(round(rate * seconds)):
                due = start + n / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                tasks.create_task(one(calls[num % len(calls)], due))
                num += 1
            start += seconds
    for connection in idle:
        await connection.close()
    return replies


def recovered_after(replies: Sequence[Reply]) -> float | None:
    """Return seconds until the first call from which on all are good; None where the last is not."""
    ordered = sorted(replies)
    bad = [n for n, r in enumerate(ordered) if r.status != 200 or 1000 * (r.done - r.due) > _QUIET_MS]
    if not bad:
        return 0.0
    if bad[-1] + 1 == len(ordered):
        return None
    return ordered[bad[-1] + 1].due - ordered[0].due


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=float, default=4.0, help="the capacity that arrives")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each part")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    torch.set_num_threads(1)
    calls = forms(queries())["ids"]
    with tempfile.TemporaryDirectory() as name, serving(Path(name) / "home") as (_, port):
        asyncio.run(capacity(port, calls, 2.0))
        able = asyncio.run(capacity(port, calls, options.seconds))
        phases = [(options.times * able, options.seconds), (able / 2, options.seconds)]
        replies = asyncio.run(flood(port, calls, phases))
    loud = [r for r in replies if r.due < options.seconds]
    quiet = [r for r in replies if r.due >= options.seconds]
    good = [r for r in loud if r.status == 200 and r.done < options.seconds]
    p50, p99 = percentiles([1000 * (r.done - r.due) for r in good])
    result = {
        "capacity_per_second": able,
        "offered_per_second": len(loud) / options.seconds,
        "goodput_per_second": len(good) / options.seconds,
        "goodput_over_capacity": len(good) / options.seconds / able,
        "p50_ms": p50,
        "p99_ms": p99,
        "statuses": dict(sorted(Counter(str(r.status) for r in loud).items())),
        "statuses_after": dict(sorted(Counter(str(r.status) for r in quiet).items())),
        "recovered_after_s": recovered_after(quiet),
    }

    def table() -> str:
        after = result["recovered_after_s"]
        return (
            f"capacity {able:.0f}/s; at {result['offered_per_second']:.0f}/s, goodput "
            f"{result['goodput_per_second']:.0f}/s ({result['goodput_over_capacity']:.0%} of it), "
            f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, statuses {result['statuses']}\n"
            f"afterwards at half the capacity: statuses {result['statuses_after']}, "
            + ("not recovered" if after is None else f"recovered after {after:.2f} s")
        )

    show(result, options.json, table)


if __name__ == "__main__":
    main()
