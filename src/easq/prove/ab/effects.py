"""The effect of an arm: tea-tasting's means, ratios and CUPED, and intervals valid at every look.

Effects are relative to the control arm. Shapes: U viewers of an arm, Z columns.
"""

from math import exp, isfinite, log, log1p, sqrt
from statistics import NormalDist

import numpy as np
import tea_tasting as tt  # type: ignore[import-untyped]
from msgspec import Struct
from tea_tasting.aggr import Aggregates  # type: ignore[import-untyped]

from easq.arrays import F64, I64, Bool
from easq.prove.ab.experiment_metrics import OBSERVED, Spec
from easq.prove.ab.viewer_days import DaySnapshot

SRM_LEVEL = 0.001
"""A sample ratio that chance gives so seldom blocks the verdict (Fabijan et al. 2019 use .0005 to .01)."""

_BEFORE, _NOTHING = "before ", 1e-12


class Effect(Struct, frozen=True):
    """A metric in two arms and its relative change.

    `low` and `high` are valid for one look that was fixed in advance, `always_low` and `always_high` for all
    looks together. `error` is the standard error of log(treatment / control); `viewers` counts both arms.
    """

    control: float
    treatment: float
    lift: float
    low: float
    high: float
    p_value: float
    error: float
    viewers: int
    with_pre_period: bool
    always_low: float | None = None
    always_high: float | None = None


def effect(
    spec: Spec, columns: tuple[str, ...], snapshot: DaySnapshot, arm: int, confidence: float
) -> Effect | None:
    """Return an arm's effect on a metric at a look; None if there is nothing to divide by.

    Ratios use the delta method. If the period before the start holds the metric, CUPED removes what it
    explains (Deng et al. 2013).
    """
    masks = [snapshot.arm_U == number for number in (0, arm)]
    if min(map(np.count_nonzero, masks)) < 2:
        return None
    (names, control), (_, treatment) = (aggregates(spec, columns, snapshot, mask) for mask in masks)
    denominator = names[1] if spec.denominator else None
    before = covariates(names, spec, control, treatment)
    metric = tt.RatioOfMeans(
        names[0], denominator, *before, confidence_level=confidence, use_t=False, equal_var=False
    )
    # Zero divided by zero is no effect; a metric that is zero in an arm has no relative one.
    if not all(a.mean(names[0]) > 0 and a.mean(denominator) > 0 for a in (control, treatment)):
        return None
    if not any(varies(a, names[0], denominator) for a in (control, treatment)):
        return None
    result = metric.analyze_aggregates(control, treatment)
    if not (result.control > 0 and result.treatment > 0 and isfinite(result.rel_effect_size_ci_upper)):
        return None
    reach = log((1 + result.rel_effect_size_ci_upper) / (1 + result.rel_effect_size))
    return Effect(
        float(result.control) * spec.scale,
        float(result.treatment) * spec.scale,
        float(result.rel_effect_size),
        float(result.rel_effect_size_ci_lower),
        float(result.rel_effect_size_ci_upper),
        float(result.pvalue),
        reach / deviations(confidence),
        control.count() + treatment.count(),
        before[0] is not None,
    )


def varies(side: Aggregates, numerator: str, denominator: str | None) -> bool:
    """Return whether viewers differ; on a first day, every viewer was active on one day of one."""
    value = side.mean(numerator) / side.mean(denominator)
    return bool(side.ratio_var(numerator, denominator) > _NOTHING * value**2)


def deviations(confidence: float) -> float:
    """Return how many standard errors an interval reaches at one look fixed in advance.

    >>> round(deviations(0.95), 3)
    1.96
    """
    return NormalDist().inv_cdf((1 + confidence) / 2)


def level(
    spec: Spec, columns: tuple[str, ...], snapshot: DaySnapshot, arm: int
) -> tuple[float, float] | None:
    """Return an arm's own value of a metric and its standard error; None where it has none."""
    mask = snapshot.arm_U == arm
    if np.count_nonzero(mask) < 2:
        return None
    names, sums = aggregates(spec, columns, snapshot, mask)
    denominator = names[1] if spec.denominator else None
    if not sums.mean(denominator) > 0:
        return None
    value = sums.mean(names[0]) / sums.mean(denominator)
    return value * spec.scale, sqrt(sums.ratio_var(names[0], denominator) / sums.count()) * spec.scale


def mixture_reach(error: float, width: float, confidence: float) -> float:
    """Return how far the mixture sequential probability ratio test's interval reaches at a look.

    With a normal mixture of standard deviation `width` over the effect, the interval estimate +- reach
    holds the truth at all looks together with this confidence (Robbins 1970; Johari et al. 2022), where
    estimates become normal with independent increments in information, which is 1 / error ** 2.

    >>> round(mixture_reach(1.0, 1.0, 0.95), 3), round(mixture_reach(1.0, 3.0, 0.95), 3)
    (3.656, 3.036)
    """
    ratio = (width / error) ** 2
    return error * sqrt((1 + 1 / ratio) * (-2 * log(1 - confidence) + log1p(ratio)))


def always_valid(effect: Effect, width: float, confidence: float) -> tuple[float, float]:
    """Return the bounds of a relative effect that hold at all looks together, see `mixture_reach`."""
    if not (effect.error > 0 and width > 0):
        return float("nan"), float("nan")
    reach = mixture_reach(effect.error, width, confidence)
    return (1 + effect.lift) * exp(-reach) - 1, (1 + effect.lift) * exp(reach) - 1


def sample_ratio(arm_U: I64, weights: list[float]) -> list[tuple[int, float]]:
    """Return each arm's viewers, and the p-value of their number against the control's."""
    counts = np.bincount(arm_U, minlength=len(weights)).tolist()
    ratios = [(counts[0], 1.0)]
    for arm in range(1, len(weights)):
        sides = {side: Aggregates(count_=counts[side]) for side in (0, arm)}
        test = tt.SampleRatio({0: weights[0], arm: weights[arm]})
        either = counts[0] + counts[arm]
        ratios.append((counts[arm], test.analyze(sides, 0, arm).pvalue if either else 1.0))
    return ratios


def adjusted(effects: dict[str, Effect]) -> dict[str, float]:
    """Return p-values adjusted for how many there are: false discovery rate (Benjamini, Hochberg 1995)."""
    if not effects:
        return {}
    results = tt.experiment.ExperimentResult({name: {"pvalue": e.p_value} for name, e in effects.items()})
    (adjusted_result,) = tt.adjust_fdr({"all": results}).values()
    return {name: float(result["pvalue_adj"]) for name, result in adjusted_result.items()}


def _values(spec: Spec, columns: tuple[str, ...], snapshot: DaySnapshot) -> tuple[list[str], F64]:
    """Return the columns a metric needs: numerator, denominator, and both from before the start."""
    wanted = [spec.numerator, *([spec.denominator] if spec.denominator else [])]
    now, before = [], []
    for number, name in enumerate(wanted):
        if name == OBSERVED:
            now.append(snapshot.observed_U)
            continue
        column = columns.index(name)
        values, earlier = snapshot.sum_UC[:, column], snapshot.before_UC[:, column]
        if number == 0 and spec.least is not None:
            values, earlier = ((v >= spec.least).astype(np.float64) for v in (values, earlier))
        now.append(values)
        before.append((_BEFORE + name, earlier))
    names = [*wanted, *(name for name, _ in before)]
    return names, np.stack([*now, *(values for _, values in before)], 1)


def covariates(names: list[str], spec: Spec, *sides: Aggregates) -> tuple[str | None, str | None]:
    """Return the covariates' names; None for those that a side lacks before the start."""
    numerator = _BEFORE + spec.numerator
    denominator = None if spec.denominator in (None, OBSERVED) else f"{_BEFORE}{spec.denominator}"
    for name in filter(None, (numerator, denominator)):
        assert name in names
        if not all(side.mean(name) > 0 and side.var(name) > 0 for side in sides):
            return None, None
    return numerator, denominator


def aggregates(
    spec: Spec, columns: tuple[str, ...], snapshot: DaySnapshot, mask_U: Bool
) -> tuple[list[str], Aggregates]:
    """Return the moments of a metric's columns over some viewers of a look, and the columns' names.

    The numerator comes first, the denominator, if any, second.
    """
    names, value_UZ = _values(spec, columns, snapshot)
    value_UZ = value_UZ[mask_U]
    covariance_ZZ = np.atleast_2d(np.cov(value_UZ.T))
    means, places = value_UZ.mean(0).tolist(), range(len(names))
    return names, Aggregates(
        count_=len(value_UZ),
        mean_=dict(zip(names, means, strict=True)),
        var_={names[z]: float(covariance_ZZ[z, z]) for z in places},
        cov_={(names[z], names[y]): float(covariance_ZZ[z, y]) for z in places for y in places if y > z},
    )
