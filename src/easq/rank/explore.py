"""Draw rankings at random, with the probability of each item to be among the first.

Off-policy estimates need the probabilities of the logged rankings (Horvitz and Thompson 1952). A ranking
that is only sorted was the only possible one, and allows no estimate of others.
Shapes: N candidates, D candidates within the depth, M times, T first places, S the two sides of a candidate.
"""

from typing import NamedTuple

import numpy as np

from easq.arrays import F32, F64, I64
from easq.recipe.experiments import Explore

_EARLY, _LATE, _STEP = 1e-7, 40.0, 0.25


class ExploredOrder(NamedTuple):
    """A ranking of candidates, best first, and each one's probability of being among the first."""

    order_N: I64
    propensity_N: F32


def explore(score_N: F32, order_N: I64, settings: Explore, random: np.random.Generator) -> ExploredOrder:
    """Return the ranking to show, which for most requests is the sorted one, `order_N`.

    For a share of requests the order of the first `depth` candidates is drawn. `propensity_N[place]` is the
    probability that the candidate now at `place` is among the first `top`, over both draws: whether this
    request is drawn, and its order. It is 0 beyond the depth, from where no candidate can move up.
    """
    depth = min(settings.depth, len(order_N))
    top = min(settings.top, depth)
    weight_D = _weights(score_N[order_N[:depth]].astype(np.float64), settings)
    is_first_D = np.arange(depth) < top
    chance_D = (1 - settings.share) * is_first_D + settings.share * inclusion(weight_D, top)
    rank_D = np.arange(depth)
    if random.random() < settings.share:
        # Sorting exponential clocks with these rates draws a Plackett-Luce order.
        rank_D = np.argsort(random.standard_exponential(depth) / weight_D, kind="stable")
    drawn_N = np.concatenate([order_N[:depth][rank_D], order_N[depth:]])
    propensity_N = np.zeros(len(order_N), np.float32)
    propensity_N[:depth] = chance_D[rank_D]
    return ExploredOrder(drawn_N, propensity_N)


def _weights(score_D: F64, settings: Explore) -> F64:
    """Return each item's weight in the draw. Scores are standardized, so their scale does not matter."""
    spread = score_D.std()
    if settings.kind == "uniform" or not spread > 0:
        return np.ones(len(score_D))
    return np.asarray(np.exp((score_D - score_D.max()) / (spread * settings.temperature)))


def inclusion(weight_D: F64, top: int) -> F64:
    """Return each item's probability to be among the first `top` of a Plackett-Luce draw.

    An item is among them if fewer than `top` of the other clocks ring before its own. The integral over the
    time of its own clock becomes a sum over times.

    >>> inclusion(np.array([1.0, 1.0, 2.0]), 1)
    array([0.25, 0.25, 0.5 ])
    """
    depth = len(weight_D)
    if top >= depth:
        return np.ones(depth)
    if top == 1:
        return np.asarray(weight_D / weight_D.sum())
    if np.ptp(weight_D) == 0:
        return np.full(depth, top / depth)
    # Over the logarithm of time the integrand vanishes on both sides faster than exponentially.
    x_M = np.arange(np.log(_EARLY / weight_D.sum()), np.log(_LATE / weight_D.min()), _STEP)
    time_M = np.exp(x_M)
    chance_DM = -np.expm1(-weight_D[:, None] * time_M)
    # How many clocks before an item, and how many behind it, have rung. Dividing an item out of one total
    # would lose all digits if one clock is far faster than the others.
    rung_STM = np.zeros((2, top, len(time_M)))
    rung_STM[:, 0] = 1.0
    before_DTM, behind_DTM = np.empty((2, depth, top, len(time_M)))
    chance_DSM = np.stack([chance_DM, chance_DM[::-1]], 1)
    for place in range(depth):
        before_DTM[place], behind_DTM[depth - 1 - place] = rung_STM
        joins_STM = rung_STM * chance_DSM[place, :, None]
        rung_STM -= joins_STM
        rung_STM[:, 1:] += joins_STM[:, :-1]
    fewer_DM = np.einsum("dtm,dtm->dm", before_DTM, behind_DTM.cumsum(1)[:, ::-1])
    own_DM = weight_D[:, None] * time_M * np.exp(-weight_D[:, None] * time_M)
    chance_D = (fewer_DM * own_DM).sum(1)
    return np.asarray(chance_D * (top / chance_D.sum()))
