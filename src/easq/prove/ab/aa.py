"""How often the statistics see a difference where there is none: viewers dealt out again and again.

Each run deals the viewers of one log to two arms that nobody ever served. What is seen is chance.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from easq.errors import InputError
from easq.prove.ab.analysis import LEAST_VIEWERS
from easq.prove.ab.effects import always_valid, effect
from easq.prove.ab.experiment_metrics import Spec
from easq.prove.ab.viewer_days import DaySnapshot, ViewerDays, as_one_arm, looks


def false_positives(
    table: ViewerDays,
    metrics: Sequence[str],
    runs: int,
    confidence: float,
    pre_days: int,
    seed: int,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, dict[str, float]]:
    """Return, by metric, the share of runs with a false positive.

    `fixed` looks once, at the end; `peeking` is the same interval looked at every day; `always` is the
    interval that holds at all looks, looked at every day. Raises InputError for a log without days left.
    """
    start = table.first_day + pre_days
    if start > table.last_day:
        raise InputError(f"--pre-days: got {pre_days}; allowed: less than the log's days")
    every_day = list(looks(as_one_arm(table, start), start, table.last_day, pre_days))
    specs = [table.metrics.spec(name) for name in metrics]
    random = np.random.default_rng(seed)
    found = {spec.name: np.zeros(3) for spec in specs}
    for run in range(runs):
        arm_U = random.integers(0, 2, len(table.arm_U))
        dealt = [replace(look, arm_U=arm_U[look.viewer_U]) for look in every_day]
        for spec in specs:
            found[spec.name] += _seen(spec, table.metrics.columns, dealt, confidence)
        on_progress(run + 1, runs)
    kinds = ("fixed", "peeking", "always")
    return {name: dict(zip(kinds, (seen / runs).tolist(), strict=True)) for name, seen in found.items()}


def _seen(spec: Spec, columns: tuple[str, ...], days: list[DaySnapshot], confidence: float) -> Any:
    """Return 1 or 0 for a false positive at the end, at any day, and of the interval for all days."""
    width = 0.0
    fixed = peeking = always = False
    for look in days:
        if min(np.bincount(look.arm_U, minlength=2)) < LEAST_VIEWERS:
            continue
        found = effect(spec, columns, look, 1, confidence)
        if found is None or not found.error > 0:
            continue
        width = width or found.error
        low, high = always_valid(found, width, confidence)
        fixed = not found.low <= 0 <= found.high
        peeking |= fixed
        always |= not low <= 0 <= high
    return np.array([fixed, peeking, always], np.float64)
