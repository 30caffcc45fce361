"""The effect of an arm: means, ratios and CUPED as tea-tasting has them, and intervals valid at every look.

Effects are relative to the control arm, differences absolute.
"""

from collections.abc import Mapping
from math import exp, hypot, isfinite, log, log1p, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import tea_tasting as tt  # type: ignore[import-untyped]
from msgspec import Struct
from tea_tasting.aggr import Aggregates  # type: ignore[import-untyped]

from easq.arrays import I64, Bool
from easq.prove.ab.experiment_metrics import OBSERVED, Spec
from easq.prove.ab.moments import (
    CAP_QUANTILE,
    Cap,
    MetricValues,
    Part,
    error_of,
    metric_values,
    part,
    slope,
)
from easq.prove.ab.viewer_days import DaySnapshot

SRM_LEVEL = 0.001
"""A sample ratio that chance gives so seldom blocks the verdict (Fabijan et al. 2019 use .0005 to .01)."""

LEAST_EVEN, FEW_EVEN, MOST_OF_ONE = 30, 100, 0.1
"""A quotient whose denominators are worth fewer even viewers has no interval; a warning below, and above."""
FAR_FROM_ZERO = 4.0
"""Standard errors from zero, before a metric with viewers below zero has a relative change."""

_MOST_ERROR, _MOST_RATIO = 10.0, 1e50
_LEAST_RATIO = 1e-100
_WIDEST = log(1e6)
"""Of a relative interval, to each side, as a logarithm."""


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


class Difference(Struct, frozen=True):
    """A metric in two arms and its absolute change, in the metric's unit.

    Bounds are as in `Effect`. `error` is the standard error of the difference.
    """

    control: float
    treatment: float
    difference: float
    low: float
    high: float
    p_value: float
    error: float
    viewers: int
    with_pre_period: bool
    always_low: float | None = None
    always_high: float | None = None


class Measured(NamedTuple):
    """What a look says of a metric and an arm: its absolute and its relative change, as far as it has them.

    why        why one is missing, in words that follow the metric's name; empty if none is.
    may_come   whether more data may mend that.
    notes      warnings, in such words.
    """

    difference: Difference | None
    effect: Effect | None
    why: str = ""
    may_come: bool = False
    notes: tuple[str, ...] = ()


def effect(
    spec: Spec, columns: tuple[str, ...], snapshot: DaySnapshot, arm: int, confidence: float
) -> Effect | None:
    """Return an arm's relative effect on a metric at a look; None where there is none, see `measure`."""
    return measure(spec, columns, snapshot, arm, confidence).effect


def measure(
    spec: Spec, columns: tuple[str, ...], snapshot: DaySnapshot, arm: int, confidence: float
) -> Measured:
    """Compare an arm with the control on a metric at a look.

    Ratios use the delta method. If the period before the start holds the metric, CUPED removes what it
    explains (Deng et al. 2013). Never raises: what cannot be measured comes with the reason.
    """
    values = metric_values(spec, columns, snapshot)
    notes = [_capped_words(values.cap)] if values.cap else []
    if values.num_not_finite:
        return Measured(None, None, f"{values.num_not_finite:,} viewers have a sum that is not finite")
    masks = [snapshot.arm_U == number for number in (0, arm)]
    parts = [found for mask in masks if (found := part(values.now_U2[mask])) is not None]
    if too_little := _too_little(spec, parts):
        return Measured(None, None, too_little, True, tuple(notes))
    notes += _uneven_words(spec, parts)
    sides, with_before = _sides(values, masks)
    difference = _difference(sides, values.unit, confidence, with_before)
    if difference is None:
        why = "the viewers of each arm are all alike, so chance cannot be measured"
        if not any(side.value for side in sides):
            why = "it is 0 in both arms"
        return Measured(None, None, why, False, tuple(notes))
    ends = (difference.control, difference.treatment, difference.low, difference.high)
    if not all(map(isfinite, ends)):
        return Measured(None, None, "its values are too large to be added up", False, tuple(notes))
    why = _why_not_relative(sides, difference, values.is_signed)
    relative = None if why else _relative(sides, difference, confidence)
    return Measured(difference, relative, why, False, tuple(notes))


def _too_little(spec: Spec, parts: list[Part]) -> str:
    """Return what the arms lack before an error can be told; empty if they have enough."""
    if len(parts) < 2:
        return "an arm has too little of it"
    least = min(side.even for side in parts)
    if spec.denominator in (None, OBSERVED) or least >= LEAST_EVEN:
        return ""
    worth = f"an arm's {_counted(spec)} are worth those of {least:.0f} even viewers"
    return f"{worth}; {LEAST_EVEN} are needed"


class _Side(NamedTuple):
    """An arm's value in scaled units, its standard error, and its number of viewers."""

    value: float
    error: float
    viewers: int


def _sides(values: MetricValues, masks: list[Bool]) -> tuple[list[_Side], bool]:
    """Return both arms, without what the period before the start explains if it holds the metric in both."""
    either_U = masks[0] | masks[1]
    parts = [part(values.now_U2[mask]) for mask in masks]
    before = [part(values.before_U2[mask]) for mask in masks]
    both = part(values.before_U2[either_U])
    coefficient = slope(values, either_U)
    sides = []
    uses = (
        coefficient is not None
        # A quotient of few even viewers is not linear in their influences, and neither is its correction.
        and all(b is not None and b.value > 0 and b.error > 0 and b.even >= LEAST_EVEN for b in before)
        and all(p is not None and p.value != 0 for p in parts)
    )
    for now, earlier in zip(parts, before, strict=True):
        assert now is not None
        value, influence_U = now.value, now.influence_U
        if uses:
            assert earlier is not None and both is not None and coefficient is not None
            value -= coefficient * (earlier.value - both.value)
            influence_U = influence_U - coefficient * earlier.influence_U
        sides.append(_Side(value, error_of(influence_U, now.spread), len(influence_U)))
    return sides, uses


def _difference(sides: list[_Side], unit: float, confidence: float, with_before: bool) -> Difference | None:
    """Return the absolute change; None where no viewer differs from the others of the arm."""
    control, treatment = sides
    error = hypot(control.error, treatment.error)
    if not error > 0:
        return None
    change = treatment.value - control.value
    reach = deviations(confidence) * error
    return Difference(
        control.value * unit,
        treatment.value * unit,
        change * unit,
        (change - reach) * unit,
        (change + reach) * unit,
        2 * NormalDist().cdf(-abs(change) / error),
        error * unit,
        control.viewers + treatment.viewers,
        with_before,
    )


def _why_not_relative(sides: list[_Side], difference: Difference, is_signed: bool) -> str:
    """Return why there is no relative change; empty if there is one."""
    control, treatment = sides
    if control.value == 0:
        return "it is 0 in the control arm, and no change is relative to that"
    if control.value < 0 or treatment.value <= 0:
        which, value = (
            ("control", difference.control) if control.value < 0 else ("other", difference.treatment)
        )
        return f"it is {value:.4g} in the {which} arm, and a relative change needs values above 0"
    if is_signed and control.value < FAR_FROM_ZERO * control.error:
        return (
            f"some viewers are below 0, and the control arm's {difference.control:.4g} is less than "
            f"{FAR_FROM_ZERO:g} standard errors from 0"
        )
    if treatment.value > _MOST_RATIO * control.value or not _log_error(control, treatment) < _MOST_ERROR:
        return "its values are too close to 0 for a relative change"
    return ""


def _log_error(control: _Side, treatment: _Side) -> float:
    return hypot(control.error / control.value, treatment.error / treatment.value)


def _relative(sides: list[_Side], difference: Difference, confidence: float) -> Effect:
    control, treatment = sides
    ratio = treatment.value / control.value
    error = _log_error(control, treatment)
    reach = exp(deviations(confidence) * error)
    return Effect(
        difference.control,
        difference.treatment,
        ratio - 1,
        ratio / reach - 1,
        ratio * reach - 1,
        difference.p_value,
        error,
        difference.viewers,
        difference.with_pre_period,
    )


def _counted(spec: Spec) -> str:
    return {"weighted": "weighted answers", "answered": "answers", "asked": "asks"}.get(
        spec.denominator or "", spec.denominator or ""
    )


def _uneven_words(spec: Spec, sides: list[Part]) -> list[str]:
    """Return warnings as of an off-policy estimate: few even viewers, or one with much of the whole."""
    notes: list[str] = []
    if spec.denominator in (None, OBSERVED):
        return notes
    least, largest = min(side.even for side in sides), max(side.largest for side in sides)
    if least < FEW_EVEN:
        notes.append(
            f"an arm's {_counted(spec)} are worth those of {least:.0f} even viewers ({FEW_EVEN} are wanted)"
        )
    if largest > MOST_OF_ONE:
        notes.append(f"one viewer has {largest:.0%} of an arm's {_counted(spec)}")
    return notes


def _capped_words(cap: Cap) -> str:
    who = "1 viewer was" if cap.viewers == 1 else f"{cap.viewers:,} viewers were"
    of = "denominators of " if cap.is_denominator else ""
    return (
        f"{who} cut off at {cap.limit:.4g}, the {CAP_QUANTILE:.0%} quantile of {of}viewers that have any; "
        f"the largest had {cap.largest:.4g}"
    )


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
    values = metric_values(spec, columns, snapshot)
    if values.num_not_finite:
        return None
    own = part(values.now_U2[snapshot.arm_U == arm])
    if own is None:
        return None
    value, error = own.value * values.unit, own.error * values.unit
    return (value, error) if isfinite(value) and isfinite(error) else None


def mixture_reach(error: float, width: float, confidence: float) -> float:
    """Return how far the mixture sequential probability ratio test's interval reaches at a look.

    With a normal mixture of standard deviation `width` over the effect, the interval estimate +- reach
    holds the truth at all looks together with this confidence (Robbins 1970; Johari et al. 2022), where
    estimates become normal with independent increments in information, which is 1 / error ** 2.

    >>> round(mixture_reach(1.0, 1.0, 0.95), 3), round(mixture_reach(1.0, 3.0, 0.95), 3)
    (3.656, 3.036)
    """
    ratio = min(max(width / error, _LEAST_RATIO), 1 / _LEAST_RATIO) ** 2
    return error * sqrt((1 + 1 / ratio) * (-2 * log(1 - confidence) + log1p(ratio)))


def always_valid(effect: Effect, width: float, confidence: float) -> tuple[float, float] | None:
    """Return the bounds of a relative effect that hold at all looks together, see `mixture_reach`.

    None where they say nothing: a metric that hardly varied at its first look, whose error is the `width`,
    and varies much later has bounds a million times apart and more.
    """
    if not (effect.error > 0 and width > 0):
        return None
    reach = mixture_reach(effect.error, width, confidence)
    if reach > _WIDEST:
        return None
    return (1 + effect.lift) * exp(-reach) - 1, (1 + effect.lift) * exp(reach) - 1


def always_valid_difference(
    difference: Difference, width: float, confidence: float
) -> tuple[float, float] | None:
    """Return the bounds of an absolute change that hold at all looks together; None where not finite."""
    reach = mixture_reach(difference.error, width, confidence)
    low, high = difference.difference - reach, difference.difference + reach
    return (low, high) if isfinite(low) and isfinite(high) else None


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


def adjusted(effects: Mapping[str, Effect | Difference]) -> dict[str, float]:
    """Return p-values adjusted for how many there are: false discovery rate (Benjamini, Hochberg 1995)."""
    if not effects:
        return {}
    results = tt.experiment.ExperimentResult({name: {"pvalue": e.p_value} for name, e in effects.items()})
    (adjusted_result,) = tt.adjust_fdr({"all": results}).values()
    return {name: float(result["pvalue_adj"]) for name, result in adjusted_result.items()}
