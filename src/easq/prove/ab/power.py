"""Power analysis: the lift an experiment can detect after so many days, from a log of the platform."""

import numpy as np
import tea_tasting as tt  # type: ignore[import-untyped]

from easq.errors import InputError
from easq.prove.ab.effects import aggregates, covariates, deviations, mixture_reach, varies
from easq.prove.ab.experiment_metrics import Spec
from easq.prove.ab.results import DetectableLift, ExperimentPlan, MetricPlan
from easq.prove.ab.viewer_days import DaySnapshot, ViewerDays, as_one_arm, snapshots
from easq.recipe.experiments import Experiment


def plan(experiment: Experiment, table: ViewerDays, lift: float) -> ExperimentPlan:
    """Return by metric the smallest lift detected with the experiment's power, by days of running.

    The last days of the log represent the experiment's days, and the days before them its pre-period; the
    share of viewers is the experiment's. `lift` is relative; the days needed for it are None if the log is
    too short to tell. Raises InputError for a log of fewer than two days.
    """
    days = table.last_day - table.first_day + 1
    if days < 2:
        raise InputError(f"a plan needs a log of two days or more, got {days}")
    pre_days = min(experiment.pre_days, days // 2)
    start = table.last_day - min(experiment.days, days - pre_days) + 1
    lifts: dict[str, list[DetectableLift]] = {spec.name: [] for spec in table.metrics.specs}
    viewers = []
    widths: dict[str, float] = {}
    for snapshot in snapshots(as_one_arm(table, start), start, table.last_day, pre_days):
        viewers.append(round(len(snapshot.arm_U) * experiment.share / table.share))
        for spec in table.metrics.specs:
            smallest = _smallest(spec, table.metrics.columns, snapshot, experiment, viewers[-1], widths)
            if smallest is not None:
                lifts[spec.name].append(DetectableLift(snapshot.day - start + 1, *smallest))
    return ExperimentPlan(
        name=experiment.name,
        days_of_log=days,
        pre_days=pre_days,
        lift=lift,
        power=experiment.power,
        confidence=experiment.confidence,
        share=experiment.share,
        viewers=viewers,
        metrics={
            name: MetricPlan(series, next((point.days for point in series if point.always <= lift), None))
            for name, series in lifts.items()
        },
    )


def _smallest(
    spec: Spec,
    columns: tuple[str, ...],
    snapshot: DaySnapshot,
    experiment: Experiment,
    viewers: int,
    widths: dict[str, float],
) -> tuple[float, float] | None:
    """Return the smallest lift detected on a day: with one planned look, and with daily looks.

    None if the metric has nothing to divide by. `widths` stores each metric's first error.
    """
    names, sample = aggregates(spec, columns, snapshot, np.ones(len(snapshot.arm_U), np.bool_))
    denominator = names[1] if spec.denominator else None
    if not (sample.mean(names[0]) > 0 and sample.mean(denominator) > 0 and viewers > 3):
        return None
    if not varies(sample, names[0], denominator):
        return None
    control, *others = (arm.weight for arm in experiment.arms)
    # The smallest arm other than the control is the hardest to judge.
    ratio, part = min(others) / control, (min(others) + control) / (sum(others) + control)
    confidence = 1 - (1 - experiment.confidence) / len(others)
    metric = tt.RatioOfMeans(
        names[0],
        denominator,
        *covariates(names, spec, sample),
        use_t=False,
        alpha=1 - confidence,
        ratio=ratio,
        power=experiment.power,
        n_obs=max(4, round(viewers * part)),
    )
    fixed = float(metric.solve_power_from_aggregates(sample, "rel_effect_size")[0].rel_effect_size)
    if not fixed > 0:
        return None
    sure = deviations(2 * experiment.power - 1)
    error = fixed / (deviations(confidence) + sure)
    width = widths.setdefault(spec.name, error)
    return fixed, mixture_reach(error, width, confidence) + sure * error
