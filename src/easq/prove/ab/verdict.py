"""The verdict on an experiment: ship, keep running or stop, with the reasons in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log1p
from typing import Literal, NamedTuple

from easq.prove.ab.effects import SRM_LEVEL, Measured
from easq.prove.ab.experiment_metrics import Spec
from easq.recipe.experiments import Experiment, Guardrail

Verdict = Literal["ship", "keep running", "stop", "no verdict"]
GuardrailState = Literal["held", "broken", "not clear", "cannot be judged"]

MOST_CROSSED = 0.01
"""A larger share of viewers who were seen in more than one arm blocks every verdict."""


@dataclass(frozen=True)
class Decision:
    """A verdict and why."""

    verdict: Verdict
    reasons: tuple[str, ...]


class Dealing(NamedTuple):
    """How viewers came to the arms: the least p-value of the sample ratio, and how many changed arms."""

    p_ratio: float
    crossed: int
    viewers: int


class MetricVerdict(NamedTuple):
    """A metric and what was measured of an arm's effect on it."""

    spec: Spec
    measured: Measured


class GuardrailVerdict(NamedTuple):
    """A guardrail and its state in an arm."""

    guardrail: Guardrail
    judged: MetricVerdict

    @property
    def state(self) -> GuardrailState:
        """Return whether the interval lies within the tolerance, beyond it, or holds its edge.

        Without a relative change a guardrail is never held: its tolerance is a share of the control's value.
        It is broken where the absolute change is surely worse by more than that share.
        """
        measured, tolerance = self.judged.measured, self.guardrail.tolerance
        if measured.effect is not None:
            low, high = gain(self.judged)
            if low > -tolerance:
                return "held"
            return "broken" if high < -tolerance else "not clear"
        if measured.difference is not None:
            _, high = gain(self.judged)
            if high < -tolerance * abs(measured.difference.control):
                return "broken"
            return "cannot be judged"
        return "not clear" if measured.may_come else "cannot be judged"


def gain(judged: MetricVerdict) -> tuple[float, float]:
    """Return the interval valid at every look, with the sign such that more is better.

    It is relative, or in the metric's unit where there is no relative change.
    """
    change = judged.measured.effect or judged.measured.difference
    if change is None or change.always_low is None or change.always_high is None:
        return float("-inf"), float("inf")
    low, high = change.always_low, change.always_high
    return (low, high) if judged.spec.better > 0 else (-high, -low)


def decide(
    experiment: Experiment,
    days_run: int,
    main: MetricVerdict,
    guarded: Sequence[GuardrailVerdict],
    dealing: Dealing,
) -> Decision:
    """Judge an arm by its main metric and the guardrails.

    A wrong sample ratio, or too many viewers who changed arms, block every verdict.
    """
    if blocks := _blocks(dealing):
        return Decision("no verdict", blocks)
    decision = _decide(experiment, days_run, main, guarded)
    if not dealing.crossed:
        return decision
    few = (
        f"{dealing.crossed:,} of {dealing.viewers:,} viewers were seen in more than one arm; they count in "
        "their first."
    )
    return Decision(decision.verdict, (*decision.reasons, few))


def _blocks(dealing: Dealing) -> tuple[str, ...]:
    blocks = []
    if dealing.p_ratio < SRM_LEVEL:
        blocks.append(
            "The arms do not have the viewers that were dealt to them: chance does this less than once in "
            f"{1 / SRM_LEVEL:,.0f} times. Something loses or adds viewers by arm, so the arms cannot be "
            "compared. Find out what it is and start again."
        )
    if dealing.crossed > MOST_CROSSED * dealing.viewers:
        blocks.append(
            f"{dealing.crossed:,} of {dealing.viewers:,} viewers were seen in more than one arm; at most "
            f"{MOST_CROSSED:.0%} may be. What they did cannot be told apart by arm. Find out why they change "
            "(a new salt, an id that is shared) and start again."
        )
    return tuple(blocks)


def _decide(
    experiment: Experiment, days_run: int, main: MetricVerdict, guarded: Sequence[GuardrailVerdict]
) -> Decision:
    broken = [g for g in guarded if g.state == "broken"]
    if broken:
        return Decision("stop", tuple(_broken(g) for g in broken))
    low, high = gain(main)
    title = main.spec.title
    if high < 0:
        return Decision("stop", (f"{title} is worse than in the control arm: {_interval(main)}.",))
    if low > 0:
        return _better(experiment, days_run, main, guarded)
    is_over = days_run >= experiment.days
    if main.measured.effect is None and main.measured.difference is None:
        why = f"{title} cannot be judged: {main.measured.why}."
        return Decision("no verdict" if is_over else "keep running", (why,))
    if is_over:
        why = (
            f"The {experiment.days} planned days are over and nothing is shown of {title}: {_interval(main)}."
        )
        return Decision("stop", (why,))
    return Decision("keep running", (_undecided(experiment, days_run, main),))


def _better(
    experiment: Experiment, days_run: int, main: MetricVerdict, guarded: Sequence[GuardrailVerdict]
) -> Decision:
    better = f"{main.spec.title} is better than in the control arm: {_interval(main)}."
    unseen = [_unseen(g) for g in guarded if g.state == "cannot be judged"]
    if unseen and days_run >= experiment.days:
        return Decision("no verdict", (better, *unseen))
    waits = unseen + [_unclear(g) for g in guarded if g.state == "not clear"]
    if days_run < experiment.least_days:
        waits.append(
            f"It has run {days_run} of at least {experiment.least_days} days, which hold each day of a week."
            if experiment.least_days >= 7
            else f"It has run {days_run} of at least {experiment.least_days} days."
        )
    if waits:
        return Decision("keep running", (better, *waits))
    held = ", ".join(f"{g.judged.spec.title} (may get worse by {g.guardrail.tolerance:.2%})" for g in guarded)
    return Decision("ship", (better, f"Guardrails held: {held}." if held else "No guardrail was named."))


def _undecided(experiment: Experiment, days_run: int, main: MetricVerdict) -> str:
    effect = main.measured.effect
    left = experiment.days - days_run
    words = f"It is not clear yet whether {main.spec.title} is better: {_interval(main)}."
    if effect is None:
        return f"{words} {left} of {experiment.days} days are left."
    needed = log1p(effect.lift) * main.spec.better
    if needed > 0 and effect.error > 0:
        # The interval clears zero at an error about a third of the lift (the reach of the mixture).
        more = ceil(days_run * max(0.0, (3 * effect.error / needed) ** 2 - 1))
        if more > left:
            return f"{words} If the lift stays, the {left} days left are not enough, but about {more:,} are."
        return f"{words} If the lift stays, it takes about {max(1, more)} more days."
    return f"{words} {left} of {experiment.days} days are left."


def _broken(guarded: GuardrailVerdict) -> str:
    title, allowed = guarded.judged.spec.title, f"{guarded.guardrail.tolerance:.2%}"
    return f"{title} is worse by more than the {allowed} allowed: {_interval(guarded.judged)}."


def _unclear(guarded: GuardrailVerdict) -> str:
    title, allowed = guarded.judged.spec.title, f"{guarded.guardrail.tolerance:.2%}"
    return f"{title} may still be worse by more than the {allowed} allowed: {_interval(guarded.judged)}."


def _unseen(guarded: GuardrailVerdict) -> str:
    title, measured = guarded.judged.spec.title, guarded.judged.measured
    words = f"{title} cannot be judged as a guardrail: {measured.why}."
    return words if measured.difference is None else f"{words} Its change is {_interval(guarded.judged)}."


def _interval(judged: MetricVerdict) -> str:
    effect, difference = judged.measured.effect, judged.measured.difference
    if effect is not None and effect.always_low is not None:
        return f"{effect.lift:+.2%} ({effect.always_low:+.2%} to {effect.always_high:+.2%})"
    if difference is not None and difference.always_low is not None:
        bounds = f"{difference.always_low:+.4g} to {difference.always_high:+.4g}"
        values = f"{difference.control:.4g} in the control arm, {difference.treatment:.4g} in the other"
        return f"{difference.difference:+.4g} {judged.spec.unit} ({bounds}; {values})"
    if effect is not None:
        return f"{effect.lift:+.2%}, without an interval: it varies far more than at the first look"
    return f"nothing is measured yet: {judged.measured.why}"
