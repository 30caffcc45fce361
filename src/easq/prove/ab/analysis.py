"""An experiment from its table: every metric of every arm, over time, and the verdicts."""

from dataclasses import replace
from math import isfinite
from typing import Any

import msgspec

from easq.errors import InputError
from easq.prove.ab.effects import (
    SRM_LEVEL,
    Effect,
    adjusted,
    always_valid,
    deviations,
    effect,
    level,
    sample_ratio,
)
from easq.prove.ab.experiment_metrics import ExperimentMetrics, Spec
from easq.prove.ab.verdict import GuardrailVerdict, MetricVerdict, decide
from easq.prove.ab.viewer_days import DaySnapshot, ViewerDays, day_date, day_number, looks
from easq.recipe.experiments import SATISFACTION, Experiment
from easq.recipe.recipe import Recipe

LEAST_VIEWERS = 50
"""Of each arm, before a look counts: with fewer, a mean is not yet normal."""


def find_experiment(recipe: Recipe, name: str) -> Experiment:
    """Return an experiment of the recipe; raise InputError where there is none of that name."""
    for experiment in recipe.experiments:
        if experiment.name == name:
            return experiment
    allowed = ", ".join(e.name for e in recipe.experiments) or "the recipe declares none"
    raise InputError(f"experiment: got {name!r}; allowed: {allowed}")


def analyse(experiment: Experiment, table: ViewerDays) -> dict[str, Any]:
    """Return everything that was found, fit for JSON. Raises InputError when no request names an arm."""
    start, end = period(experiment, table)
    always = ConfidenceSequences(table.metrics, experiment)
    last: DaySnapshot | None = None
    for look in looks(table, start, end, experiment.pre_days):
        always.ingest(look)
        last = look
    assert last is not None
    arms = [arm.name for arm in experiment.arms]
    ratio = sample_ratio(last.arm_U, [arm.weight for arm in experiment.arms])
    days_run = end - start + 1
    return {
        "name": experiment.name,
        "arms": arms,
        "metric": experiment.metric,
        "start": day_date(start).isoformat(),
        "end": day_date(end).isoformat(),
        "days_run": days_run,
        "days": experiment.days,
        "confidence": always.confidence,
        "experiment": msgspec.to_builtins(experiment),
        "counts": table.counts,
        "viewers_kept": table.share,
        "crossed": int(table.crossed_U.sum()),
        "response": table.response,
        "sample_ratio": {
            "level": SRM_LEVEL,
            "arms": [
                {"arm": arm, "viewers": viewers, "p_value": p}
                for arm, (viewers, p) in zip(arms, ratio, strict=True)
            ],
        },
        "specs": [msgspec.to_builtins(spec) for spec in table.metrics.specs],
        "levels": always.levels,
        "treatments": [
            _treatment(experiment, table.metrics, always, last, arm, min(p for _, p in ratio), days_run)
            for arm in range(1, len(arms))
        ],
    }


def period(experiment: Experiment, table: ViewerDays) -> tuple[int, int]:
    """Return the first and the last day that count: the last is that of the last request of an arm.

    The last day of a log that is growing is not over.
    """
    entered = table.entry_day_U[table.arm_U >= 0]
    if not len(entered):
        raise InputError(f"the log holds no request of an arm of {experiment.name!r}")
    start = day_number(experiment.start) if experiment.start else int(entered.min())
    if start > table.last_arm_day:
        raise InputError(
            f"experiments.{experiment.name}.start is {experiment.start}, days before it do not count, and "
            f"the newest request of an arm is of {day_date(table.last_arm_day)}"
        )
    return start, table.last_arm_day


class ConfidenceSequences:
    """Looks day after day: what holds at all of them, and how the arms went."""

    def __init__(self, metrics: ExperimentMetrics, experiment: Experiment) -> None:
        self._metrics, self._experiment = metrics, experiment
        num_treatments = len(experiment.arms) - 1
        # Several arms against one control: each gets its part of the error (Bonferroni).
        self.confidence = 1 - (1 - experiment.confidence) / num_treatments
        followed = dict.fromkeys(
            [experiment.metric, SATISFACTION, *(g.metric for g in experiment.guardrails)]
        )
        self.followed = [metrics.spec(name) for name in followed]
        self._width: dict[tuple[int, str], float] = {}
        self.levels: dict[str, list[dict[str, Any]]] = {}
        self.over_time: dict[int, dict[str, list[dict[str, Any]]]] = {}

    def ingest(self, look: DaySnapshot) -> None:
        """Take the look at the end of another day."""
        z = deviations(self.confidence)
        day = day_date(look.day).isoformat()
        for spec in self._metrics.specs:
            for arm in range(1, len(self._experiment.arms)):
                found = self.effect(spec, look, arm)
                if found is None or spec not in self.followed:
                    continue
                series = self.over_time.setdefault(arm, {}).setdefault(spec.name, [])
                series.append({"day": day, **shown(found)})
        for arm, declared in enumerate(self._experiment.arms):
            for spec in self.followed:
                found_level = level(spec, self._metrics.columns, look, arm)
                if found_level is None:
                    continue
                value, error = found_level
                point = {"day": day, "value": value, "low": value - z * error, "high": value + z * error}
                self.levels.setdefault(spec.name, []).append({"arm": declared.name, **point})

    def effect(self, spec: Spec, look: DaySnapshot, arm: int) -> Effect | None:
        """Return an arm's effect at a look with the bounds that hold at all looks.

        The mixture is as wide as the standard error of the first look that counts: information only grows
        from there, and where there is eight times as much the interval is as short as it can be.
        """
        if min((look.arm_U == number).sum() for number in (0, arm)) < LEAST_VIEWERS:
            return None
        found = effect(spec, self._metrics.columns, look, arm, self.confidence)
        if found is None or not found.error > 0:
            return None
        width = self._width.setdefault((arm, spec.name), found.error)
        low, high = always_valid(found, width, self.confidence)
        return replace(found, always_low=low, always_high=high)


def _treatment(
    experiment: Experiment,
    metrics: ExperimentMetrics,
    always: ConfidenceSequences,
    last: DaySnapshot,
    arm: int,
    p_ratio: float,
    days_run: int,
) -> dict[str, Any]:
    found = {spec.name: e for spec in metrics.specs if (e := always.effect(spec, last, arm))}
    p_adjusted = adjusted(found)
    guarded = [
        GuardrailVerdict(g, MetricVerdict(metrics.spec(g.metric), found.get(g.metric)))
        for g in experiment.guardrails
    ]
    main = MetricVerdict(metrics.spec(experiment.metric), found.get(experiment.metric))
    decision = decide(experiment, days_run, main, guarded, p_ratio)
    return {
        "arm": experiment.arms[arm].name,
        "verdict": decision.verdict,
        "reasons": list(decision.reasons),
        "metrics": {name: {**shown(e), "p_adjusted": p_adjusted[name]} for name, e in found.items()},
        "guardrails": [
            {"metric": g.guardrail.metric, "tolerance": g.guardrail.tolerance, "state": g.state}
            for g in guarded
        ],
        "over_time": always.over_time.get(arm, {}),
    }


def shown(found: Effect) -> dict[str, Any]:
    """Return an effect fit for JSON: what is not finite is None."""
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in plain.items()}
