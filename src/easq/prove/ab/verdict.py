"""The verdict on an experiment: ship, keep running or stop, with the reasons in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log1p
from typing import Literal, NamedTuple

from easq.prove.ab.effects import SRM_LEVEL, Effect
from easq.prove.ab.experiment_metrics import Spec
from easq.recipe.experiments import Experiment, Guardrail

Verdict = Literal["ship", "keep running", "stop", "no verdict"]
GuardrailState = Literal["held", "broken", "not clear"]


@dataclass(frozen=True)
class Decision:
    """A verdict and why."""

    verdict: Verdict
    reasons: tuple[str, ...]


class MetricVerdict(NamedTuple):
    """A metric and an arm's effect on it; None if it cannot be measured yet."""

    spec: Spec
    effect: Effect | None


class GuardrailVerdict(NamedTuple):
    """A guardrail and its state in an arm: held, broken, or not clear yet."""

    guardrail: Guardrail
    judged: MetricVerdict

    @property
    def state(self) -> GuardrailState:
        """Return whether the interval lies within the tolerance, beyond it, or holds its edge."""
        low, high = gain(self.judged)
        if low > -self.guardrail.tolerance:
            return "held"
        return "broken" if high < -self.guardrail.tolerance else "not clear"


def gain(judged: MetricVerdict) -> tuple[float, float]:
    """Return the interval valid at every look, with the sign such that more is better."""
    effect = judged.effect
    if effect is None or effect.always_low is None or effect.always_high is None:
        return float("-inf"), float("inf")
    low, high = effect.always_low, effect.always_high
    return (low, high) if judged.spec.better > 0 else (-high, -low)


def decide(
    experiment: Experiment,
    days_run: int,
    main: MetricVerdict,
    guarded: Sequence[GuardrailVerdict],
    ratio_p_value: float,
) -> Decision:
    """Judge an arm by its main metric and the guardrails; a wrong sample ratio blocks every verdict."""
    if ratio_p_value < SRM_LEVEL:
        why = (
            "The arms do not have the viewers that were dealt to them: chance does this less than once in "
            f"{1 / SRM_LEVEL:,.0f} times. Something loses or adds viewers by arm, so the arms cannot be "
            "compared. Find out what it is and start again."
        )
        return Decision("no verdict", (why,))
    broken = [g for g in guarded if g.state == "broken"]
    if broken:
        return Decision("stop", tuple(_broken(g) for g in broken))
    low, high = gain(main)
    title = main.spec.title
    if high < 0:
        return Decision("stop", (f"{title} is worse than in the control arm: {_interval(main)}.",))
    if low > 0:
        return _better(experiment, days_run, main, guarded)
    if days_run >= experiment.days:
        why = (
            f"The {experiment.days} planned days are over and nothing is shown of {title}: {_interval(main)}."
        )
        return Decision("stop", (why,))
    return Decision("keep running", (_undecided(experiment, days_run, main),))


def _better(
    experiment: Experiment, days_run: int, main: MetricVerdict, guarded: Sequence[GuardrailVerdict]
) -> Decision:
    better = f"{main.spec.title} is better than in the control arm: {_interval(main)}."
    waits = [_unclear(g) for g in guarded if g.state == "not clear"]
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
    effect = main.effect
    if effect is None:
        return f"Nothing can be said of {main.spec.title} yet: an arm has too little of it."
    left = experiment.days - days_run
    words = f"It is not clear yet whether {main.spec.title} is better: {_interval(main)}."
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


def _interval(judged: MetricVerdict) -> str:
    effect = judged.effect
    if effect is None or effect.always_low is None:
        return "nothing is measured yet"
    return f"{effect.lift:+.2%} ({effect.always_low:+.2%} to {effect.always_high:+.2%})"
