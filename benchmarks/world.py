"""Views per second of a world on one core, alone and as batches, and its memory against its length.

    python benchmarks/world.py [--views N N] [--rounds N] [--json]

`views_per_second` is of `World.chunks`, `fed_per_second` of batches made directly from the world
(prove/bench/world_feed.py), `logged_per_second` of the same batches through a log: recorded, read, joined,
batched. The three take turns. Memory is the peak of a separate process that simulates a world: the kernel's
VmHWM, which, unlike getrusage's, excludes what the parent held before.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import DEFAULT, RATES, show

from easq.features.batch import Batcher, make_batch
from easq.features.encode import Encoder
from easq.features.join import flush_all
from easq.log.events import EVENTS
from easq.log.merge import MergedReader
from easq.log.sqlite import SqliteLog
from easq.prove.bench.world_feed import feed
from easq.sources.world.recording import record
from easq.sources.world.simulate import World

_KIB_IN_MIB = 1024
_VIEWS = 500_000


def live(views: int) -> int:
    """Simulate a world and return the number of its views."""
    return sum(chunk.item_RC.size for chunk in World(1, RATES).chunks(views // World.candidates))


def live_fed(views: int) -> int:
    """Make batches directly from a world and return the number of their views."""
    fed = feed(
        World(1, RATES), views // World.candidates, DEFAULT, Encoder(DEFAULT.features, DEFAULT.row_salt)
    )
    return sum(one.batch.num_viewed for one in fed)


def live_logged(views: int) -> int:
    """Make the same batches through a log and return the number of their views."""
    # This import brings in torch, which a world does not need.
    from easq.features.join import build_joiner

    training, encoder = DEFAULT.training, Encoder(DEFAULT.features, DEFAULT.row_salt)
    batcher = Batcher(training.batch_rows, training.batch_answers)
    num_views = 0

    def take(final: bool = False) -> int:
        num = 0
        while cut := batcher.cut(final):
            num += make_batch(encoder, DEFAULT.behaviors, DEFAULT.order.cap, cut).num_viewed
        return num

    with tempfile.TemporaryDirectory() as name, SqliteLog(Path(name) / "world.log") as log:
        record(World(1, RATES), views, log, Path(name) / "truth", lambda _: None)
        joiners = [build_joiner(DEFAULT) for _ in range(log.partitions(EVENTS))]
        for events in MergedReader(log, EVENTS, log.end_offsets(EVENTS)):
            for partition, event in events:
                batcher.add(joiners[partition].push(event))
            num_views += take()
        batcher.add(flush_all(joiners))
        return num_views + take(final=True)


def rate(work: Callable[[int], int], views: int) -> float:
    """Return views per second."""
    started = time.perf_counter()
    done = work(views)
    return done / (time.perf_counter() - started)


def peak(views: int) -> float:
    """Return the peak memory in MiB of a process that simulates a world."""
    command = [sys.executable, __file__, "--live", str(views)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout)["peak_mib"])


def peak_of_this_process() -> float:
    """Return the peak memory of this process in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / _KIB_IN_MIB


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--views", type=int, nargs="+", default=[1_000_000, 50_000_000], help="lengths to measure memory of"
    )
    parser.add_argument("--rounds", type=int, default=3, help="the median counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--live", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.live:
        live(options.live)
        show({"peak_mib": peak_of_this_process()}, True, str)
        return
    works = {"views": live, "fed": live_fed, "logged": live_logged}
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(options.rounds):
        for name, work in works.items():
            rates[name].append(rate(work, _VIEWS))
    medians = {f"{name}_per_second": statistics.median(values) for name, values in rates.items()}
    peaks = {str(views): peak(views) for views in options.views}
    result = {
        **medians,
        "rounds": rates,
        "fed_over_logged": medians["fed_per_second"] / medians["logged_per_second"],
        "peak_mib": peaks,
    }

    def table() -> str:
        lines = [f"{name.replace('_', ' ')}: {value:,.0f}" for name, value in medians.items()]
        lines.append(f"fed over logged: {result['fed_over_logged']:.1f}")
        return "\n".join([*lines, *(f"{int(v):>12,} views: {mib:,.0f} MiB" for v, mib in peaks.items())])

    show(result, options.json, table)


if __name__ == "__main__":
    main()
