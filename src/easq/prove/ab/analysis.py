"""Analysis of an experiment: every metric of every arm over time, and the verdicts."""

from msgspec import structs

from easq.errors import InputError
from easq.prove.ab.effects import (
    SRM_LEVEL,
    Effect,
    Measured,
    adjusted,
    always_valid,
    always_valid_difference,
    deviations,
    level,
    measure,
    sample_ratio,
)
from easq.prove.ab.experiment_metrics import ExperimentMetrics, Spec
from easq.prove.ab.results import (
    ArmViewers,
    DayEffect,
    DayLevel,
    ExperimentResult,
    GuardrailResult,
    SampleRatioCheck,
    TreatmentDifference,
    TreatmentEffect,
    TreatmentResult,
)
from easq.prove.ab.verdict import Dealing, GuardrailVerdict, MetricVerdict, decide
from easq.prove.ab.viewer_days import DaySnapshot, ViewerDays, day_date, day_number, snapshots
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


def analyse(experiment: Experiment, table: ViewerDays) -> ExperimentResult:
    """Analyze an experiment day by day. Raises InputError when no request names an arm."""
    start, end = period(experiment, table)
    sequences = ConfidenceSequences(table.metrics, experiment)
    last: DaySnapshot | None = None
    for snapshot in snapshots(table, start, end, experiment.pre_days):
        sequences.add_day(snapshot)
        last = snapshot
    assert last is not None
    arms = [arm.name for arm in experiment.arms]
    ratio = sample_ratio(last.arm_U, [arm.weight for arm in experiment.arms])
    days_run = end - start + 1
    crossed = int(table.crossed_U[last.viewer_U].sum())
    dealing = Dealing(min(p for _, p in ratio), crossed, len(last.viewer_U))
    return ExperimentResult(
        name=experiment.name,
        arms=tuple(arms),
        metric=experiment.metric,
        start=day_date(start).isoformat(),
        end=day_date(end).isoformat(),
        days_run=days_run,
        days=experiment.days,
        confidence=sequences.confidence,
        experiment=experiment,
        counts=table.counts,
        viewers_kept=table.share,
        crossed=crossed,
        response=table.response,
        sample_ratio=SampleRatioCheck(
            SRM_LEVEL,
            tuple(ArmViewers(arm, viewers, p) for arm, (viewers, p) in zip(arms, ratio, strict=True)),
        ),
        specs=table.metrics.specs,
        levels=sequences.levels,
        treatments=tuple(
            _treatment(experiment, sequences, last, arm, dealing, days_run) for arm in range(1, len(arms))
        ),
    )


def period(experiment: Experiment, table: ViewerDays) -> tuple[int, int]:
    """Return the first and the last day that count; the last request of an arm sets the last.

    While a log is growing, its last day is incomplete.
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
    """Effects and levels day by day, with intervals that are valid on all days together.

    The mixture's width for an arm and a metric is the standard error on the first day that counts. From then
    on information only grows, and the interval is shortest, relative to the error, at eight times that much.
    """

    def __init__(self, metrics: ExperimentMetrics, experiment: Experiment) -> None:
        self._experiment = experiment
        self.metrics = metrics
        num_treatments = len(experiment.arms) - 1
        # Several arms against one control: each gets its part of the error (Bonferroni).
        self.confidence = 1 - (1 - experiment.confidence) / num_treatments
        followed = dict.fromkeys(
            [experiment.metric, SATISFACTION, *(g.metric for g in experiment.guardrails)]
        )
        self._followed = [metrics.spec(name) for name in followed]
        self._width: dict[tuple[int, str], float] = {}
        self._absolute_width: dict[tuple[int, str], float] = {}
        self.levels: dict[str, list[DayLevel]] = {}
        self.over_time: dict[int, dict[str, list[DayEffect]]] = {}

    def add_day(self, snapshot: DaySnapshot) -> None:
        """Add the snapshot of another day; days come in order."""
        day = day_date(snapshot.day).isoformat()
        for spec in self.metrics.specs:
            for arm in range(1, len(self._experiment.arms)):
                self._add_effect(spec, snapshot, arm, day)
        for arm, declared in enumerate(self._experiment.arms):
            for spec in self._followed:
                self._add_level(spec, snapshot, arm, declared.name, day)

    def effect(self, spec: Spec, snapshot: DaySnapshot, arm: int) -> Effect | None:
        """Return an arm's effect on a day that was added, with the bounds that are valid on all days.

        None if the arms hold too little data.
        """
        return self.measured(spec, snapshot, arm).effect

    def measured(self, spec: Spec, snapshot: DaySnapshot, arm: int) -> Measured:
        """Return what a day that was added says of an arm, with the bounds that are valid on all days."""
        return self._on_all_days(self._one_look(spec, snapshot, arm), spec, arm)

    def _add_effect(self, spec: Spec, snapshot: DaySnapshot, arm: int, day: str) -> None:
        one_look = self._one_look(spec, snapshot, arm)
        if one_look.difference is not None:
            self._absolute_width.setdefault((arm, spec.name), one_look.difference.error)
        if one_look.effect is None:
            return
        self._width.setdefault((arm, spec.name), one_look.effect.error)
        if spec not in self._followed:
            return
        day_effect = self._on_all_days(one_look, spec, arm).effect
        assert day_effect is not None
        series = self.over_time.setdefault(arm, {}).setdefault(spec.name, [])
        series.append(DayEffect(**structs.asdict(day_effect), day=day))

    def _on_all_days(self, one_look: Measured, spec: Spec, arm: int) -> Measured:
        key, difference, effect = (arm, spec.name), one_look.difference, one_look.effect
        if difference is not None:
            bounds = always_valid_difference(difference, self._absolute_width[key], self.confidence)
            low, high = bounds or (None, None)
            difference = structs.replace(difference, always_low=low, always_high=high)
        if effect is not None:
            low, high = always_valid(effect, self._width[key], self.confidence) or (None, None)
            effect = structs.replace(effect, always_low=low, always_high=high)
        return one_look._replace(difference=difference, effect=effect)

    def _add_level(self, spec: Spec, snapshot: DaySnapshot, arm: int, arm_name: str, day: str) -> None:
        arm_level = level(spec, self.metrics.columns, snapshot, arm)
        if arm_level is None:
            return
        value, error = arm_level
        reach = deviations(self.confidence) * error
        point = DayLevel(arm_name, day, value, value - reach, value + reach)
        self.levels.setdefault(spec.name, []).append(point)

    def _one_look(self, spec: Spec, snapshot: DaySnapshot, arm: int) -> Measured:
        """Return an arm's effect with the bounds of one look; none where there are too few viewers."""
        fewest = min(int((snapshot.arm_U == number).sum()) for number in (0, arm))
        if fewest < LEAST_VIEWERS:
            why = f"an arm has {fewest:,} viewers; {LEAST_VIEWERS} are needed"
            return Measured(None, None, why, may_come=True)
        return measure(spec, self.metrics.columns, snapshot, arm, self.confidence)


def _treatment(
    experiment: Experiment,
    sequences: ConfidenceSequences,
    last: DaySnapshot,
    arm: int,
    dealing: Dealing,
    days_run: int,
) -> TreatmentResult:
    metrics = sequences.metrics
    measured = {spec.name: sequences.measured(spec, last, arm) for spec in metrics.specs}
    differences = {name: m.difference for name, m in measured.items() if m.difference}
    p_adjusted = adjusted(differences)
    guardrails = [
        GuardrailVerdict(g, MetricVerdict(metrics.spec(g.metric), measured[g.metric]))
        for g in experiment.guardrails
    ]
    main = MetricVerdict(metrics.spec(experiment.metric), measured[experiment.metric])
    decision = decide(experiment, days_run, main, guardrails, dealing)
    return TreatmentResult(
        arm=experiment.arms[arm].name,
        verdict=decision.verdict,
        reasons=decision.reasons,
        metrics={
            name: TreatmentEffect(**structs.asdict(m.effect), p_adjusted=p_adjusted[name])
            for name, m in measured.items()
            if m.effect
        },
        differences={
            name: TreatmentDifference(**structs.asdict(d), p_adjusted=p_adjusted[name])
            for name, d in differences.items()
        },
        not_measured={name: m.why for name, m in measured.items() if m.why},
        warnings={name: m.notes for name, m in measured.items() if m.notes},
        guardrails=tuple(
            GuardrailResult(g.guardrail.metric, g.guardrail.tolerance, g.state) for g in guardrails
        ),
        over_time=sequences.over_time.get(arm, {}),
    )
