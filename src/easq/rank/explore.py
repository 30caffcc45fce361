"""Rankings that are drawn, and the chance that each item had of being among the first.

Off-policy estimates need to know how likely the log's rankings were (Horvitz and Thompson 1952); a
ranking that is only sorted was the only possible one, and says nothing of others.
Shapes: N candidates, D of them in reach, M times, T places to come first,
S the two sides of a candidate.
"""

from typing import NamedTuple

import numpy as np

from easq.arrays import F32, F64, I64
from easq.recipe.experiments import Explore

_EARLY, _LATE, _STEP = 1e-7, 40.0, 0.25


class ExploredOrder(NamedTuple):
    """A ranking as places in the order of the candidates, and by place the chance to be among the first."""

    order_N: I64
    propensity_N: F32


def explore(score_N: F32, order_N: I64, settings: Explore, random: np.random.Generator) -> ExploredOrder:
    """Return the ranking to show instead of the sorted one, `order_N`, which it mostly is.

    A share of requests is drawn among the first `depth` of the sorted ranking. `propensity_N[place]` is the
    chance of the candidate that now stands at `place` to be among the first `top`, over both draws: whether
    this request is drawn, and its order. It is 0 beyond the depth, where no candidate can come up.
    """
    depth = min(settings.depth, len(order_N))
    top = min(settings.top, depth)
    weight_D = _weights(score_N[order_N[:depth]].astype(np.float64), settings)
    is_first_D = np.arange(depth) < top
    chance_D = (1 - settings.share) * is_first_D + settings.share * inclusion(weight_D, top)
    rank_D = np.arange(depth)
    if random.random() < settings.share:
        # The earliest of exponential clocks with these rates: Plackett and Luce's places, one by one.
        rank_D = np.argsort(random.standard_exponential(depth) / weight_D, kind="stable")
    drawn_N = np.concatenate([order_N[:depth][rank_D], order_N[depth:]])
    propensity_N = np.zeros(len(order_N), np.float32)
    propensity_N[:depth] = chance_D[rank_D]
    return ExploredOrder(drawn_N, propensity_N)


def _weights(score_D: F64, settings: Explore) -> F64:
    """Return each item's weight in the draw; scores count in deviations, so that their scale does not."""
    spread = score_D.std()
    if settings.kind == "uniform" or not spread > 0:
        return np.ones(len(score_D))
    return np.asarray(np.exp((score_D - score_D.max()) / (spread * settings.temperature)))


def inclusion(weight_D: F64, top: int) -> F64:
    """Return each item's chance to be among the first `top` of a Plackett-Luce draw.

    An item is among them when fewer than `top` of the other clocks ring before its own; the integral over
    when its own rings is a sum over times.

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
    # Over the logarithm of time the integrand falls to nothing on both sides faster than exponentially.
    x_M = np.arange(np.log(_EARLY / weight_D.sum()), np.log(_LATE / weight_D.min()), _STEP)
    time_M = np.exp(x_M)
    chance_DM = -np.expm1(-weight_D[:, None] * time_M)
    # Of the clocks before an item and of those behind it, how many have rung; nothing is divided out again,
    # which would lose all digits where one clock is far quicker than the others.
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
    found_D = (fewer_DM * own_DM).sum(1)
    return np.asarray(found_D * (top / found_D.sum()))
