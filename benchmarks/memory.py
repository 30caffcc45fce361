"""Peak memory of a replay against the length of the log.

    python benchmarks/memory.py [--views N N] [--json]

Each length is replayed in its own process. The peak resident memory is the kernel's figure.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from common import DEFAULT, make_world, show

from easq.log.sqlite import SqliteLog
from easq.prove.offline.replay import replay

_MIB = 1024


def peak_of_replay(log: Path, out: Path) -> float:
    """Replay in this process and return its peak resident memory in MiB."""
    with SqliteLog(log) as events:
        replay(DEFAULT, events, out)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MIB


def measure(views: int) -> float:
    """Return the peak of a replay of `views` views, in MiB."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_world(folder / "world.log", views)
        command = [sys.executable, __file__, "--replay", str(folder / "world.log")]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return float(json.loads(done.stdout)["peak_mib"])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--views", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--replay", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.replay:
        peak = peak_of_replay(options.replay, options.replay.parent / "out")
        show({"peak_mib": peak}, True, str)
        return
    peaks = {str(views): measure(views) for views in options.views}
    lengths = list(peaks.values())
    result = {"peak_mib": peaks, "last_over_first": lengths[-1] / lengths[0]}

    def table() -> str:
        lines = [f"{int(views):>12,} views: {peak:,.0f} MiB" for views, peak in peaks.items()]
        return "\n".join([*lines, f"last over first: {result['last_over_first']:.3f}"])

    show(result, options.json, table)


if __name__ == "__main__":
    main()
