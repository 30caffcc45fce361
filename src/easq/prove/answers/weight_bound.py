"""No answer decides alone: a bound on inverse-probability weights. Shapes: A answers or asks."""

from typing import NamedTuple

import numpy as np

from easq.arrays import F64

MOST_WEIGHT = 100.0
"""Times the median weight: no answer counts more."""
_FAR = 1e15


class BoundedWeights(NamedTuple):
    """Weights, none above `MOST_WEIGHT` times the median of those above 0, and how many were cut off.

    Where the median is beyond 1e15, all are relative to it.
    """

    weight_A: F64
    clipped: int


def inverse_weights(propensity_A: F64, worth_A: F64) -> BoundedWeights:
    """Return `worth_A` over the propensity, bounded; 0 where that is not above 0.

    A propensity may be so small that its inverse is not finite. The median is not moved by one weight without
    bound.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        known_A = propensity_A > 0
        inverse_A = np.divide(1.0, propensity_A, out=np.zeros(len(propensity_A)), where=known_A)
        full_A = np.where(worth_A > 0, worth_A * inverse_A, 0.0)
    full_A[np.isnan(full_A)] = 0.0
    counting = full_A[full_A > 0]
    middle = float(np.median(counting)) if len(counting) else 1.0
    middle = middle if np.isfinite(middle) else float(np.finfo(np.float64).max)
    unit = middle if middle > _FAR else 1.0
    full_A, middle = full_A / unit, middle / unit
    weight_A = np.minimum(full_A, MOST_WEIGHT * middle)
    return BoundedWeights(weight_A, int(np.count_nonzero(full_A > weight_A)))


def clipping(clipped: int) -> list[str]:
    """Return a warning that answers were cut off, nothing if none was."""
    if not clipped:
        return []
    return [
        f"{clipped:,} answers would weigh more than {MOST_WEIGHT:g} times the median by the chance of their "
        "asks, and were cut off there: look at the propensities of the asks"
    ]


def effective(weight_A: F64) -> float:
    """Return the number of equal weights with the same information (Kish 1965); 0 where none is above 0.

    >>> effective(np.array([1e-300, 1e-300])), effective(np.array([1.0, 0.0]))
    (2.0, 1.0)
    """
    most = weight_A.max(initial=0.0)
    if not most > 0:
        return 0.0
    share_A = weight_A / most
    return float(share_A.sum() ** 2 / (share_A**2).sum())
