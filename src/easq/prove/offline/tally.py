"""Sums by viewer in bounded memory, and bootstrap intervals made from them.

Every metric is a ratio of two sums. Sums are stored per cell of viewers, so that an interval can resample
viewers, whose views are not independent, without storing rows. A viewer's cell is a hash: with more viewers
than cells, several share one and are resampled together.
"""

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from easq.arrays import F64, I64, Bool
from easq.errors import InputError
from easq.prove.offline.metrics import ScoreOrder

CELLS = 1 << 12
TALLY = "tally.parquet"
"""The file of a run's folder with its sums."""
_NEGATIVES = "|negatives"


class Interval(NamedTuple):
    """An estimate with the bounds of its bootstrap interval (percentiles); NaN where nothing counted."""

    value: float
    low: float
    high: float


class MetricValue(Struct, frozen=True):
    """An interval for JSON, which has no NaN: values that are not finite are None."""

    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, interval: Interval) -> "MetricValue":
        """Return an interval without NaN."""
        return cls(*(bound if np.isfinite(bound) else None for bound in interval))


class Tally:
    """Named ratios. An AUC has a second one around zero, for what its negatives add to its deviation.

    Resampling viewers moves both classes of an AUC; its interval adds the two deviations, which is
    the first-order (Hajek) part of the bootstrap of the whole statistic.
    """

    def __init__(self, replicates: int, confidence: float, seed: int) -> None:
        self._replicates, self._confidence, self._seed = replicates, confidence, seed
        self._sums: dict[str, F64] = {}

    def names(self) -> list[str]:
        """Return the names of all metrics that hold anything."""
        return sorted({name.removesuffix(_NEGATIVES) for name in self._sums})

    def add(self, name: str, user_R: I64, numerator_R: ArrayLike, denominator_R: ArrayLike = 1.0) -> None:
        """Add one row's part in the numerator and the denominator to its viewer's cell."""
        if not len(user_R):
            return
        sums = self._sums.setdefault(name, np.zeros((2, CELLS)))
        cell_R = user_R & (CELLS - 1)
        for part, values in enumerate((numerator_R, denominator_R)):
            weights = np.broadcast_to(np.asarray(values, np.float64), user_R.shape)
            sums[part] += np.bincount(cell_R, weights, CELLS)

    def add_auc(self, name: str, user_R: I64, order: ScoreOrder, label_R: Bool) -> None:
        """Add the AUC of one window; windows weigh by their positives."""
        placements = order.placements(label_R)
        if placements is None:
            return
        self.add(name, user_R[label_R], placements.positive_R[label_R])
        weight = np.count_nonzero(label_R) / np.count_nonzero(~label_R)
        # Around the window's own AUC: how many negatives a window draws must not move its weight.
        negative = placements.negative_R[~label_R]
        self.add(f"{name}{_NEGATIVES}", user_R[~label_R], (negative - negative.mean()) * weight, weight)

    def take(self, name: str, other: "Tally", other_name: str) -> None:
        """Hold the sums of another tally's metric under a name of this one."""
        for end in ("", _NEGATIVES):
            if f"{other_name}{end}" in other._sums:
                self._sums[f"{name}{end}"] = other._sums[f"{other_name}{end}"]

    def intervals(self) -> dict[str, Interval]:
        """Return every metric with its interval."""
        return {name: self.interval(name) for name in self.names()}

    def interval(self, name: str) -> Interval:
        """Return one metric; KeyError when nothing was added to it."""
        value, low, high = self._percentiles(*self._drawn(name, self._weights))
        if f"{name}{_NEGATIVES}" in self._sums:
            low, high = np.clip([low, high], 0.0, 1.0).tolist()
        return Interval(value, low, high)

    def difference(self, other: "Tally", name: str, other_name: str | None = None) -> Interval:
        """Return this tally's metric minus the other's, viewers resampled together (paired).

        `other_name` is the other's metric where it has another name. KeyError when nothing was added
        to one of the two.
        """
        our_value, our_drawn = self._drawn(name, self._weights)
        their_value, their_drawn = other._drawn(other_name or name, self._weights)
        return self._percentiles(our_value - their_value, our_drawn - their_drawn)

    def change(self, other: "Tally", name: str, other_name: str | None = None) -> Interval:
        """Return `difference` as a share of the other's metric; NaN where that is 0."""
        our_value, our_drawn = self._drawn(name, self._weights)
        their_value, their_drawn = other._drawn(other_name or name, self._weights)
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._percentiles(our_value / their_value - 1, our_drawn / their_drawn - 1)

    def standard_errors(self, name: str, other_name: str) -> tuple[float, int]:
        """Return how many standard errors one metric lies above another, and the viewers' cells behind both.

        NaN where either is unknown, or nothing varies. KeyError when nothing was added to one of the two.
        """
        (value, drawn), (other, other_drawn) = (self._drawn(n, self._weights) for n in (name, other_name))
        differing = drawn - other_drawn
        error = float(np.std(differing[np.isfinite(differing)])) if np.isfinite(differing).any() else 0.0
        cells = np.count_nonzero(self._sums[name].any(0) | self._sums[other_name].any(0))
        return float(value - other) / error if error else float("nan"), int(cells)

    def _drawn(self, name: str, weights: F64) -> tuple[F64, F64]:
        """Return a metric, and what it is in each replicate."""
        parts = [self._sums[name]]
        if f"{name}{_NEGATIVES}" in self._sums:
            parts.append(self._sums[f"{name}{_NEGATIVES}"])
        value = _ratio(parts[0].sum(1))
        return value, value + sum(_ratio(part @ weights) - _ratio(part.sum(1)) for part in parts)

    @cached_property
    def _weights(self) -> F64:
        """How often each replicate takes each cell: the Poisson bootstrap, equal for equal seeds."""
        random = np.random.default_rng(self._seed)
        return random.poisson(1.0, (CELLS, self._replicates)).astype(np.float64)

    def _percentiles(self, value: F64, drawn: F64) -> Interval:
        drawn = drawn[np.isfinite(drawn)]
        if not len(drawn) or not np.isfinite(value):
            return Interval(float(value), float("nan"), float("nan"))
        tail = (1 - self._confidence) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return Interval(float(value), float(low), float(high))

    def save(self, path: Path) -> None:
        """Write the sums as one Parquet file: a column per metric, cells of numerators, then denominators."""
        pl.DataFrame({name: sums.ravel() for name, sums in sorted(self._sums.items())}).write_parquet(
            path, compression="zstd"
        )

    def load(self, path: Path) -> None:
        """Hold the sums that `save` wrote. Raises InputError for another file."""
        try:
            columns = pl.read_parquet(path)
            self._sums = {c.name: c.cast(pl.Float64).to_numpy().reshape(2, CELLS) for c in columns}
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{path} does not hold the sums of a run: {error}") from None

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the sums by name."""
        return dict(self._sums)

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Become the tally whose `state` this is."""
        self._sums = {name: np.array(sums, np.float64) for name, sums in state.items()}


def _ratio(sums: F64) -> F64:
    """Divide the first row by the second; NaN where the second is zero."""
    numerator, denominator = np.asarray(sums)
    ratio: F64 = np.divide(
        numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0
    )
    return ratio
