"""Numbers with intervals, as figures and tables take them."""

from collections.abc import Mapping
from math import sqrt
from typing import NamedTuple

from easq.prove.offline.tally import MetricValue


class Estimate(NamedTuple):
    """A measured number and its interval, which is absent when it could not be drawn."""

    value: float
    low: float | None
    high: float | None


def estimate(metrics: Mapping[str, MetricValue], name: str) -> Estimate | None:
    """Return a metric, None when there is none of that name or nothing was counted in it."""
    metric = metrics.get(name)
    if metric is None or metric.value is None:
        return None
    return Estimate(metric.value, metric.low, metric.high)


def percent(ratio: Estimate) -> Estimate:
    """Return a ratio as a relative change in percent.

    >>> percent(Estimate(1.5, 1.25, None))
    Estimate(value=50.0, low=25.0, high=None)
    """
    low, high = (None if bound is None else 100 * (bound - 1) for bound in (ratio.low, ratio.high))
    return Estimate(100 * (ratio.value - 1), low, high)


def wilson(part: float, whole: float, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson (1927) interval of a share of independent draws."""
    share, shrink = part / whole, 1 + z * z / whole
    center = (share + z * z / (2 * whole)) / shrink
    reach = z * sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole)) / shrink
    return center - reach, center + reach
