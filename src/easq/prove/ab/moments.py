"""What the viewers of an arm say about a metric: its value, its error, and whether few viewers decide it.

Columns are divided by their largest value before anything is squared, so that no sum overflows. Errors come
from each viewer's influence on the quotient (delta method): no variance is a difference of large numbers,
and none is below zero.
Shapes: U viewers of a look, Z columns (numerator, denominator, and both from before the start).
"""

from typing import NamedTuple

import numpy as np

from easq.arrays import F64, Bool
from easq.prove.ab.experiment_metrics import OBSERVED, Spec
from easq.prove.ab.viewer_days import DaySnapshot

CAP_QUANTILE = 0.99
"""Of the viewers that have something of a metric; where one is wild, values beyond are cut off there."""
WILD = 10.0
"""A value so many times the quantile is wild."""
_LEAST_TO_CAP = 20
_NOTHING = 1e-12
_NEARLY_ZERO = 1e-100


class Cap(NamedTuple):
    """Where values were cut off, in the metric's unit, how many viewers lay beyond, and the largest value.

    `is_denominator`: what was wild is the quotient's denominator, in its own unit.
    """

    limit: float
    viewers: int
    largest: float
    is_denominator: bool


class MetricValues(NamedTuple):
    """A metric's columns for all viewers of a look, each divided by its scale.

    now_U2      numerator and denominator; the denominator is 1 for a mean.
    before_U2   both from before the start; None for a metric without such a period.
    unit        what the quotient of the scaled columns is multiplied by.
    is_signed   whether a viewer's numerator is below zero.
    """

    now_U2: F64
    before_U2: F64
    unit: float
    is_signed: bool
    cap: Cap | None
    num_not_finite: int


class Part(NamedTuple):
    """An arm's value of a metric, in scaled units, and each viewer's influence on it.

    value       mean of the numerator over mean of the denominator.
    even        as many viewers with equal denominators have the same information (Kish).
    largest     largest part of the denominator that one viewer has.
    spread      mean square of the numerator over the denominator's squared mean: what an error is held to.
    """

    value: float
    influence_U: F64
    even: float
    largest: float
    spread: float

    @property
    def error(self) -> float:
        """Return the standard error of the value; 0 where all viewers are alike up to rounding."""
        return error_of(self.influence_U, self.spread)


def metric_values(spec: Spec, columns: tuple[str, ...], snapshot: DaySnapshot) -> MetricValues:
    """Return a metric's columns over all arms of a look; wild values are cut off, blind to the arms."""
    now_U2, before_U2 = (_pair(spec, columns, snapshot, s) for s in (snapshot.sum_UC, snapshot.before_UC))
    not_finite_U = ~(np.isfinite(now_U2).all(1) & np.isfinite(before_U2).all(1))
    if not_finite_U.any():
        return MetricValues(now_U2, before_U2, spec.scale, False, None, int(not_finite_U.sum()))
    is_signed = bool((now_U2[:, 0] < 0).any())
    is_quotient = spec.denominator not in (None, OBSERVED)
    now_U2, cap = _capped(now_U2, is_quotient)
    before_U2, _ = _capped(before_U2, is_quotient)
    if cap and not cap.is_denominator:
        cap = cap._replace(limit=cap.limit * spec.scale, largest=cap.largest * spec.scale)
    (now_U2, scale), (before_U2, _) = _scaled(now_U2), _scaled(before_U2)
    unit = float(scale[0]) / float(scale[1]) * spec.scale
    return MetricValues(now_U2, before_U2, unit, is_signed, cap, 0)


def part(value_U2: F64) -> Part | None:
    """Return what some viewers say of a quotient; None where its denominator is not above zero."""
    numerator_U, denominator_U = value_U2[:, 0], value_U2[:, 1]
    if len(value_U2) < 2 or not denominator_U.mean() > _NEARLY_ZERO:
        return None
    mean = float(denominator_U.mean())
    value = float(numerator_U.mean()) / mean
    share_U = denominator_U / (mean * len(denominator_U))
    return Part(
        value,
        (numerator_U - value * denominator_U) / mean,
        1 / float((share_U**2).sum()),
        float(share_U.max()),
        float((numerator_U**2).mean()) / mean**2,
    )


def error_of(influence_U: F64, spread: float) -> float:
    """Return the standard error of a mean influence; 0 where it is rounding, measured by `spread`."""
    variance = float(influence_U.var(ddof=1))
    return float(np.sqrt(variance / len(influence_U))) if variance > _NOTHING * spread else 0.0


def slope(values: MetricValues, in_U: Bool) -> float | None:
    """Return how much of a viewer's influence goes with that from before the start (CUPED's coefficient).

    None where the viewers have nothing from before that varies.
    """
    now, before = part(values.now_U2[in_U]), part(values.before_U2[in_U])
    if now is None or before is None or not before.value > 0 or not before.error > 0:
        return None
    return float(np.cov(now.influence_U, before.influence_U)[0, 1] / before.influence_U.var(ddof=1))


def _pair(spec: Spec, columns: tuple[str, ...], snapshot: DaySnapshot, sum_UC: F64) -> F64:
    numerator_U = sum_UC[:, columns.index(spec.numerator)]
    if spec.least is not None:
        numerator_U = (numerator_U >= spec.least).astype(np.float64)
    if spec.denominator is None:
        denominator_U = np.ones(len(sum_UC))
    elif spec.denominator == OBSERVED:
        # Days before the start are the same for everybody.
        is_now = sum_UC is snapshot.sum_UC
        denominator_U = snapshot.observed_U if is_now else np.ones(len(sum_UC))
    else:
        denominator_U = sum_UC[:, columns.index(spec.denominator)]
    return np.stack([numerator_U, denominator_U], 1)


def _capped(value_U2: F64, is_quotient: bool) -> tuple[F64, Cap | None]:
    """Cut off wild values. A quotient's numerator and denominator shrink together: a viewer's own stays."""
    size_UK = np.abs(value_U2 if is_quotient else value_U2[:, :1])
    limit_K = np.array([_limit(size_U) for size_U in size_UK.T])
    factor_UK = np.divide(limit_K, size_UK, out=np.ones_like(size_UK), where=size_UK > limit_K)
    factor_U = factor_UK.min(1)
    is_cut_U = factor_U < 1
    if not is_cut_U.any():
        return value_U2, None
    wild = int(np.isfinite(limit_K).argmax())
    cap = Cap(float(limit_K[wild]), int(is_cut_U.sum()), float(size_UK[:, wild].max()), wild == 1)
    capped_U2 = value_U2.copy()
    capped_U2[:, : size_UK.shape[1]] *= factor_U[:, None]
    return capped_U2, cap


def _limit(size_U: F64) -> float:
    some = size_U[size_U > 0]
    if len(some) < _LEAST_TO_CAP:
        return float("inf")
    limit = float(np.quantile(some, CAP_QUANTILE, method="lower"))
    return limit if some.max() / WILD > limit else float("inf")


def _scaled(value_U2: F64) -> tuple[F64, F64]:
    scale_2 = np.abs(value_U2).max(0, initial=0.0)
    scale_2[scale_2 == 0] = 1.0
    return value_U2 / scale_2, scale_2
