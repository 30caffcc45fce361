"""Are the logged propensities true? 2 M views of simulated worlds are put to the rule.

    python benchmarks/propensity.py [--views N] [--json]

Asks are held against propensities by stratum (chi-square), and over many worlds the mean satisfaction
weighted by 1 / propensity against the truth, beside the plain mean.
"""

import argparse
from collections import deque
from dataclasses import asdict

from common import show

from easq.prove.asking import prove


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--views", type=int, default=2_000_000)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    (found,) = deque(prove(options.views), maxlen=1)

    def table() -> str:
        return (
            f"{found.views:,} views in {found.runs} worlds, {found.asks:,} asks\n"
            f"asks against propensities by stratum: p = {found.p_value:.3f}\n"
            f"95 % intervals that cover the truth: weighted {found.weighted_coverage:.1%}, plain "
            f"{found.plain_coverage:.1%}\n"
            f"mean error: weighted {found.weighted_error:+.4f}, plain {found.plain_error:+.4f}"
        )

    show(asdict(found), options.json, table)


if __name__ == "__main__":
    main()
