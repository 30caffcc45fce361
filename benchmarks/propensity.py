"""Whether the logged propensities are true, and intervals weighted by them hold the truth.

    python benchmarks/propensity.py [--views 2000000] [--draws 200] [--json]

2 M views of simulated worlds, as those of one platform, are put to the rule. Asks are held against
propensities by stratum (chi-square); with a daily quota too, of small platforms, where a viewer's own asks
move the pace most. Then the same views are drawn again and again: how often do the intervals of weighted and
plain means hold the truth, if every ask is answered, and if few are?
"""

import argparse
from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec
from asking_study import RULE, Calibration, Views, eligible_views, platform, run
from common import show
from interval_coverage import asking, readiness, who_answers

from easq.ask.policy import Rule
from easq.recipe.questionnaire import AskSettings

_ANSWERED = 0.02  # of asks, as in the paper
_WORST = 1.5  # what Wikimedia's micro-survey saw
_SMALL_VIEWS = 27_000  # of one world
_SMALL_QUOTA = 60  # a day, of 500 viewers: a quarter of the asks there would be without one


def _fit(ask: AskSettings, platforms: Iterable[Views]) -> dict[str, Any]:
    calibration = Calibration.of(ask.rate)
    for seed, views in enumerate(platforms, 1):
        calibration.add(views, run(Rule.of(ask), views, seed))
    asked, expected = float(calibration.asked_K.sum()), float(calibration.expected_K.sum())
    return {"asks": asked, "expected": expected, "p_value": calibration.p_value()}


def measure(num_views: int, draws: int) -> dict[str, Any]:
    """Return fits and coverages."""
    views = platform(num_views)
    small = (eligible_views(seed) for seed in range(1, 1 + num_views // _SMALL_VIEWS))
    with_quota = msgspec.structs.replace(RULE, daily_quota=_SMALL_QUOTA)
    ratio = round(readiness(views), 2)
    (asks,) = deque(asking(views, draws), maxlen=1)
    ((answers, number),) = deque(who_answers(views, draws, _ANSWERED, (ratio, _WORST)), maxlen=1)
    return {
        "views": views.num_seen,
        "eligible": len(views.ts_V),
        "fit": _fit(RULE, [views]),
        "quota": _fit(with_quota, small),
        "draws": draws,
        "asking": {name: vars(found) for name, found in asks.items()},
        "answers": number,
        "readiness": ratio,
        "answering": {name: vars(found) for name, found in answers.items()},
    }


def _rows(found: dict[str, dict[str, float]]) -> list[str]:
    return [
        f"  {name:15} {c['covered']:6.1%} covered, error {c['error']:+.4f}, half-width {c['half_width']:.4f}"
        for name, c in found.items()
    ]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--views", type=int, default=2_000_000)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    found = measure(options.views, options.draws)

    def table() -> str:
        return "\n".join(
            [
                f"{found['views']:,} views, {found['eligible']:,} eligible",
                *(
                    f"{name}: {fit['asks']:,.0f} asks, {fit['expected']:,.0f} expected, p = "
                    f"{fit['p_value']:.3f}"
                    for name, fit in (("no quota", found["fit"]), ("small platforms, quota", found["quota"]))
                ),
                f"every ask answered, {found['draws']} draws:",
                *_rows(found["asking"]),
                f"{found['answers']:,.0f} answers, the worst option {found['readiness']} times as readily:",
                *_rows(found["answering"]),
            ]
        )

    show(found, options.json, table)


if __name__ == "__main__":
    main()
