"""Whether a quantity that is looked at now and then stays as it is."""

from typing import NamedTuple

import numpy as np

from easq.arrays import F64

_BLOCKS = 8
_T_95 = 2.447  # two-sided, of a line through eight points
_MAY_GROW = 0.05


class Trend(NamedTuple):
    """A mean, its slope per unit of time with the half-width of a 95 % interval, and what follows.

    flat: the slope is surely below 5 % of the mean per unit of time; growing: it is surely above zero and
    may be more than that; undecided: too few samples for so noisy a quantity.
    """

    mean: float
    slope: float
    uncertainty: float
    verdict: str


def trend_of(time_S: F64, value_S: F64) -> Trend:
    """Fit a line to S samples; neighbors are alike, so the means of eight blocks are its points.

    Raises ValueError for fewer samples than blocks.
    """
    if len(time_S) < _BLOCKS:
        raise ValueError(f"a trend needs {_BLOCKS} samples, got {len(time_S)}")
    time, value = (np.array([part.mean() for part in np.array_split(x, _BLOCKS)]) for x in (time_S, value_S))
    centered = time - time.mean()
    spread = float((centered**2).sum())
    slope = float((centered * value).sum() / spread)
    residual = value - value.mean() - slope * centered
    uncertainty = _T_95 * float(np.sqrt((residual**2).sum() / (_BLOCKS - 2) / spread))
    mean = float(value.mean())
    if slope + uncertainty < _MAY_GROW * mean:
        verdict = "flat"
    else:
        verdict = "growing" if slope - uncertainty > 0 else "undecided"
    return Trend(mean, slope, uncertainty, verdict)
