"""Statistics of rows: means over seeds, and differences paired by seed with 95 % intervals.

Equal seeds have equal worlds, requests and first parameters, so most of the variation cancels.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import NamedTuple

from easq.prove.bench.row_store import MetricRow

_T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip
"""The 97.5 % point of Student's t for 1 to 20 degrees of freedom."""


class Gain(NamedTuple):
    """A mean difference over seeds; the bounds of its interval are None with a single seed."""

    value: float
    low: float | None
    high: float | None
    seeds: int


class SeedTable:
    """Rows by scenario, method, metric and seed."""

    def __init__(self, rows: Iterable[MetricRow]) -> None:
        self._values: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
        for row in rows:
            self._values[row["scenario"], row["method"], row["metric"]][row["seed"]] = row["value"]

    @property
    def scenarios(self) -> list[str]:
        """Return the scenarios in the order of the rows."""
        return list(dict.fromkeys(scenario for scenario, _, _ in self._values))

    def methods(self, scenario: str) -> list[str]:
        """Return the methods of a scenario in the order of the rows."""
        return list(dict.fromkeys(method for where, method, _ in self._values if where == scenario))

    def mean(self, scenario: str, method: str, metric: str) -> float | None:
        """Return the mean over seeds, None where there is no value."""
        values = self._values.get((scenario, method, metric))
        return fmean(values.values()) if values else None

    def gain(
        self, scenario: str, method: str, against: str, metric: str, relative: bool = False, ours_at: str = ""
    ) -> Gain | None:
        """Return a method's value minus another's, by the seeds that both have; `relative` to the other's.

        The metric of the method itself may be one at a price, such as `ours_at` " at 1%".
        """
        ours = self._values.get((scenario, method, metric + ours_at), {})
        theirs = self._values.get((scenario, against, metric), {})
        seeds = [seed for seed in ours if seed in theirs]
        scale = [theirs[seed] if relative else 1.0 for seed in seeds]
        return interval([(ours[s] - theirs[s]) / by for s, by in zip(seeds, scale, strict=True) if by])

    def mean_gain(self, scenario: str, method: str, against: str, metrics: Sequence[str]) -> Gain | None:
        """Return the mean over metrics of a method's relative gain, by the seeds that both have."""
        gains = []
        for metric in metrics:
            ours = self._values.get((scenario, method, metric), {})
            theirs = self._values.get((scenario, against, metric), {})
            gains.append({s: ours[s] / theirs[s] - 1 for s in ours if theirs.get(s)})
        seeds = [seed for seed in gains[0] if all(seed in one for one in gains)]
        return interval([fmean(one[seed] for one in gains) for seed in seeds])

    def share_closed(
        self, scenario: str, method: str, against: str, metric: str, best: str = "oracle"
    ) -> Gain | None:
        """Return which share of the gap between `against` and the `best` a method closes."""
        ours, theirs, most = (
            self._values.get((scenario, name, metric), {}) for name in (method, against, best)
        )
        seeds = [s for s in ours if s in theirs and s in most and most[s] != theirs[s]]
        return interval([(ours[s] - theirs[s]) / (most[s] - theirs[s]) for s in seeds])


def interval(values: Sequence[float]) -> Gain | None:
    """Return the mean of one value a seed with Student's 95 % interval.

    >>> interval([1.0, 2.0, 3.0])
    Gain(value=2.0, low=-0.484..., high=4.484..., seeds=3)
    """
    if not values:
        return None
    mean = fmean(values)
    if len(values) == 1:
        return Gain(mean, None, None, 1)
    half = _T_975[min(len(values) - 2, len(_T_975) - 1)] * stdev(values) / sqrt(len(values))
    return Gain(mean, mean - half, mean + half, len(values))


def gain_text(gain: Gain | None) -> str:
    """Return a difference with its interval, "-" for none.

    >>> gain_text(Gain(0.02, 0.01, 0.03, 3))
    '+0.0200 (+0.0100 to +0.0300)'
    """
    if gain is None:
        return "-"
    bounds = "" if gain.low is None else f" ({gain.low:+.4f} to {gain.high:+.4f})"
    return f"{gain.value:+.4f}{bounds}"


def percent_text(gain: Gain | None) -> str:
    """Return a relative difference in per cent with its interval, "-" for none."""
    if gain is None:
        return "-"
    bounds = "" if gain.low is None else f" ({100 * gain.low:+.1f} to {100 * (gain.high or 0):+.1f})"
    return f"{100 * gain.value:+.1f} %{bounds}"
