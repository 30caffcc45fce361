"""Which draw lets a log say most of a change: the mean of 1 / chance over what rankings show (docs/demo.md).

Scores of the ranking that is drawn and of another are normal, with a correlation; a ranking shows the first
four of thirty. The variance of an estimate by 1 / chance goes with these means, whatever the answers are.
Shapes: C candidates.
"""

import timeit

import numpy as np

from easq.rank.explore import explore
from easq.recipe.experiments import Explore

CANDIDATES, TOP, DRAWS = 30, 4, 400
SETTINGS = [Explore(share=1.0, depth=CANDIDATES, top=TOP)] + [
    Explore(share=share, kind="plackett_luce", depth=CANDIDATES, top=TOP, temperature=temperature)
    for temperature, share in ((1.0, 1.0), (1.5, 1.0), (2.0, 1.0), (3.0, 1.0), (2.0, 0.8), (2.0, 0.5))
]


def main() -> None:
    """Print a line for each correlation and draw."""
    print("correlation  kind           temperature  share  own    other  what differs")
    for correlation in (0.3, 0.6, 0.8):
        for settings in SETTINGS:
            own, other, differing = costs(settings, correlation)
            print(
                f"{correlation:<12} {settings.kind:<14} {settings.temperature:<12} {settings.share:<6} "
                f"{own:<6.2f} {other:<6.2f} {differing:.2f}"
            )
    print(f"a draw takes {1000 * seconds(SETTINGS[3]):.2f} ms")


def seconds(settings: Explore) -> float:
    """Return the time of one draw, the best of three means."""
    random = np.random.default_rng(1)
    scores = random.standard_normal((DRAWS, CANDIDATES)).astype(np.float32)
    orders = np.argsort(-scores, 1)

    def once() -> None:
        for score_C, order_C in zip(scores, orders, strict=True):
            explore(score_C, order_C, settings, random)

    return min(timeit.repeat(once, number=1, repeat=3)) / DRAWS


def costs(settings: Explore, correlation: float) -> tuple[float, float, float]:
    """Return the mean of 1 / chance over the drawn ranking's first and the other's first.

    The third is its sum over the items that only one of them shows, by place.
    """
    random = np.random.default_rng(1)
    found = np.zeros(3)
    for _ in range(DRAWS):
        own_C, noise_C = random.standard_normal((2, CANDIDATES))
        other_C = correlation * own_C + (1 - correlation**2) ** 0.5 * noise_C
        order_C = np.argsort(-own_C)
        drawn = explore(own_C.astype(np.float32), order_C, settings, random)
        chance_C = np.empty(CANDIDATES)
        chance_C[drawn.order_N] = drawn.propensity_N
        first, others = order_C[:TOP], np.argsort(-other_C)[:TOP]
        differing = np.setxor1d(first, others)
        found += [
            (1 / chance_C[first]).mean(),
            (1 / chance_C[others]).mean(),
            (1 / chance_C[differing]).sum() / TOP,
        ]
    own, other, change = (found / DRAWS).tolist()
    return own, other, change


if __name__ == "__main__":
    main()
