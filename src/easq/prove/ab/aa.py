"""A/A test: how often the statistics report a difference between two identical arms.

Each run assigns the viewers of one log at random to two arms that were never served, so every difference is
due to chance.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from easq.arrays import F64
from easq.errors import InputError
from easq.prove.ab.analysis import LEAST_VIEWERS
from easq.prove.ab.effects import Effect, always_valid, always_valid_difference, measure
from easq.prove.ab.experiment_metrics import Spec
from easq.prove.ab.results import AaResult, FalsePositives
from easq.prove.ab.viewer_days import DaySnapshot, ViewerDays, as_one_arm, snapshots


def false_positives(
    table: ViewerDays,
    metrics: Sequence[str],
    runs: int,
    confidence: float,
    pre_days: int,
    seed: int,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> AaResult:
    """Return, by metric, the share of runs with a false positive.

    Raises InputError if `pre_days` leave no day of the log.
    """
    start = table.first_day + pre_days
    if start > table.last_day:
        raise InputError(f"--pre-days: got {pre_days}; allowed: less than the log's days")
    days = list(snapshots(as_one_arm(table, start), start, table.last_day, pre_days))
    specs = [table.metrics.spec(name) for name in metrics]
    random = np.random.default_rng(seed)
    counts = {spec.name: np.zeros(4) for spec in specs}
    for run in range(runs):
        arm_U = random.integers(0, 2, len(table.arm_U))
        assigned = [replace(day, arm_U=arm_U[day.viewer_U]) for day in days]
        for spec in specs:
            counts[spec.name] += _positives(spec, table.metrics.columns, assigned, confidence)
        on_progress(run + 1, runs)
    shares = {}
    for name, (*positives, measured) in counts.items():
        fixed, peeking, always = (float(count / max(1.0, measured)) for count in positives)
        shares[name] = FalsePositives(fixed, peeking, always, int(measured))
    return AaResult(runs, confidence, shares)


def _positives(spec: Spec, columns: tuple[str, ...], days: list[DaySnapshot], confidence: float) -> F64:
    """Return 1 or 0 for a false positive at the end, on any day, and of the interval for all days.

    The fourth says whether the metric was measured on any day. Of a metric without a relative change the
    absolute one counts, as in verdicts.
    """
    widths: dict[bool, float] = {}
    fixed = peeking = always = False
    for day in days:
        if min(np.bincount(day.arm_U, minlength=2)) < LEAST_VIEWERS:
            continue
        measured = measure(spec, columns, day, 1, confidence)
        change = measured.effect or measured.difference
        if change is None:
            continue
        width = widths.setdefault(measured.effect is None, change.error)
        if isinstance(change, Effect):
            bounds = always_valid(change, width, confidence)
        else:
            bounds = always_valid_difference(change, width, confidence)
        fixed = not change.low <= 0 <= change.high
        peeking |= fixed
        always |= bounds is not None and not bounds[0] <= 0 <= bounds[1]
    return np.array([fixed, peeking, always, bool(widths)], np.float64)
