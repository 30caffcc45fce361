"""Power analysis: the lift an experiment can detect after so many days, from a log of the platform."""

from math import isfinite, sqrt

import numpy as np

from easq.errors import InputError
from easq.prove.ab.effects import FAR_FROM_ZERO, LEAST_EVEN, deviations, mixture_reach
from easq.prove.ab.experiment_metrics import OBSERVED, Spec
from easq.prove.ab.moments import error_of, metric_values, part, slope
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

    None if the metric has nothing that a change could be relative to. `widths` stores first errors.
    """
    values = metric_values(spec, columns, snapshot)
    sample = None if values.num_not_finite else part(values.now_U2)
    if sample is None or not (sample.value > 0 and viewers > 3):
        return None
    if values.is_signed and sample.value < FAR_FROM_ZERO * sample.error:
        return None
    if spec.denominator not in (None, OBSERVED) and sample.even < LEAST_EVEN:
        return None
    # What CUPED leaves of each viewer's influence, as a standard deviation relative to the mean.
    influence_U = sample.influence_U
    coefficient = slope(values, np.ones(len(influence_U), np.bool_))
    before = part(values.before_U2)
    if coefficient is not None and before is not None:
        influence_U = influence_U - coefficient * before.influence_U
    deviation = error_of(influence_U, sample.spread) * sqrt(len(influence_U)) / sample.value
    if not (deviation > 0 and isfinite(deviation)):
        return None
    control, *others = (arm.weight for arm in experiment.arms)
    # The smallest arm other than the control is the hardest to judge.
    ratio, part_of_pair = min(others) / control, (min(others) + control) / (sum(others) + control)
    confidence = 1 - (1 - experiment.confidence) / len(others)
    num_pair = max(4, round(viewers * part_of_pair))
    num_control = num_pair / (1 + ratio)
    error = deviation * sqrt(1 / num_control + 1 / (num_pair - num_control))
    sure = deviations(2 * experiment.power - 1)
    fixed = error * (deviations(confidence) + sure)
    width = widths.setdefault(spec.name, error)
    return fixed, mixture_reach(error, width, confidence) + sure * error
