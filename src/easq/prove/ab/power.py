"""Before the start: what lift an experiment can see after so many days, from a log of the platform."""

from typing import Any

import numpy as np
import tea_tasting as tt  # type: ignore[import-untyped]

from easq.errors import InputError
from easq.prove.ab.effects import aggregates, covariates, deviations, mixture_reach, varies
from easq.prove.ab.experiment_metrics import Spec
from easq.prove.ab.viewer_days import DaySnapshot, ViewerDays, as_one_arm, looks
from easq.recipe.experiments import Experiment


def plan(experiment: Experiment, table: ViewerDays, lift: float) -> dict[str, Any]:
    """Return by metric the smallest lift that is seen with the experiment's power, by days of running.

    The last days of the log stand for those of the experiment and the days before for its pre-period; the
    share of viewers is the experiment's. `lift` is relative; the days needed for it are None where the
    log is too short to tell. Raises InputError for a log that holds fewer than two days.
    """
    days = table.last_day - table.first_day + 1
    if days < 2:
        raise InputError(f"a plan needs a log of two days or more, got {days}")
    pre_days = min(experiment.pre_days, days // 2)
    start = table.last_day - min(experiment.days, days - pre_days) + 1
    metrics: dict[str, list[dict[str, float]]] = {spec.name: [] for spec in table.metrics.specs}
    viewers = []
    widths: dict[str, float] = {}
    for look in looks(as_one_arm(table, start), start, table.last_day, pre_days):
        viewers.append(round(len(look.arm_U) * experiment.share / table.share))
        for spec in table.metrics.specs:
            found = _smallest(spec, table.metrics.columns, look, experiment, viewers[-1], widths)
            if found is not None:
                metrics[spec.name].append({"days": look.day - start + 1, **found})
    return {
        "name": experiment.name,
        "days_of_log": days,
        "pre_days": pre_days,
        "lift": lift,
        "power": experiment.power,
        "confidence": experiment.confidence,
        "share": experiment.share,
        "viewers": viewers,
        "metrics": {
            name: {
                "smallest_lift": found,
                "days_needed": next((int(f["days"]) for f in found if f["always"] <= lift), None),
            }
            for name, found in metrics.items()
        },
    }


def _smallest(
    spec: Spec,
    columns: tuple[str, ...],
    look: DaySnapshot,
    experiment: Experiment,
    viewers: int,
    widths: dict[str, float],
) -> dict[str, float] | None:
    """Return the smallest lift that is seen at a look: of a planned end, and of looking every day."""
    names, sample = aggregates(spec, columns, look, np.ones(len(look.arm_U), np.bool_))
    denominator = names[1] if spec.denominator else None
    if not (sample.mean(names[0]) > 0 and sample.mean(denominator) > 0 and viewers > 3):
        return None
    if not varies(sample, names[0], denominator):
        return None
    control, *others = (arm.weight for arm in experiment.arms)
    # The smallest arm beside the control is the hardest to judge.
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
    return {"fixed": fixed, "always": mixture_reach(error, width, confidence) + sure * error}
