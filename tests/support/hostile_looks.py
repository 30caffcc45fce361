"""Random looks that an A/B test cannot easily judge, and a plain second opinion on what can be measured.

Shapes: U viewers, C columns.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from easq.arrays import F64
from easq.log.events import EVENTS, Answered, Asked, Behavior, Event, Request
from easq.log.packing import pack_floats, pack_ids
from easq.log.sqlite import SqliteLog
from easq.prove.ab.answer_weights import NoAsks
from easq.prove.ab.experiment_metrics import OBSERVED, ExperimentMetrics, Spec
from easq.prove.ab.sums import DAY_MS
from easq.prove.ab.viewer_days import DaySnapshot, ViewerDays

_KINDS = (
    "plain",
    "constant",
    "nearly constant",
    "zero",
    "zero in control",
    "huge",
    "wild",
    "signed",
    "tiny",
    "nan",
    "arm alike",
)


def hostile_table(metrics: ExperimentMetrics, seed: int) -> ViewerDays:
    """Return a table of viewer-days: a kind for each column, arms of any size, some viewers crossed."""
    random = np.random.default_rng(seed)
    num = int(random.choice([1, 2, 60, 150, 400], p=[0.05, 0.05, 0.2, 0.4, 0.3]))
    days = int(random.integers(1, 5))
    arm_U = random.choice([-1, 0, 1], num, p=[0.05, 0.45, 0.5])
    arm_U[0] = 0
    columns = metrics.columns
    sum_RC = np.zeros((num * days, len(columns)), np.float32)
    viewer_R, day_R = np.tile(np.arange(num), days), np.repeat(np.arange(days) + 20_000, num)
    for column in range(len(columns)):
        values = _values(str(random.choice(_KINDS)), random, arm_U[viewer_R])
        if random.random() < 0.3:  # the first day is of another kind
            other = _values(str(random.choice(_KINDS)), random, arm_U[viewer_R])
            values = np.where(day_R == day_R[0], other, values)
        sum_RC[:, column] = np.clip(values, -1e38, 1e38)
    crossed_U = random.random(num) < random.choice([0.0, 0.005, 0.5], p=[0.6, 0.2, 0.2])
    entry_U = random.integers(20_000, 20_000 + days, num)
    entry_U[0] = 20_000
    counts = dict.fromkeys(
        ("events", "requests", "views", "asks", "answers", "late", "refused", "not_finite"), 0
    )
    return ViewerDays(
        metrics, viewer_R, day_R, sum_RC, arm_U, entry_U, crossed_U, 1.0, 20_000 + days - 1, counts, NoAsks()
    )  # fmt: skip


def hostile_look(metrics: ExperimentMetrics, seed: int) -> DaySnapshot:
    """Return one look with values up to 1e300, which no table holds."""
    random = np.random.default_rng(seed)
    num = int(random.choice([2, 100, 300]))
    arm_U = random.integers(0, 2, num)
    arm_U[:2] = 0, 1
    sums = [
        np.stack([_values(str(random.choice(_KINDS)), random, arm_U) for _ in metrics.columns], 1)
        for _ in range(2)
    ]
    return DaySnapshot(0, np.arange(num), arm_U, sums[0], sums[1], random.integers(1, 9, num).astype(float))


def _values(kind: str, random: np.random.Generator, arm_U: F64) -> F64:
    num = len(arm_U)
    value_U = random.gamma(2.0, 1.0, num) * (random.random(num) < random.choice([0.1, 0.9]))
    if kind == "constant":
        return np.full(num, random.choice([1.0, 7.0, 1 / 3]))
    if kind == "nearly constant":
        return 100.0 + (random.random(num) < 0.02)
    if kind == "zero":
        return np.zeros(num)
    if kind == "zero in control":
        return value_U * (arm_U == 1)
    if kind == "huge":
        return value_U * 1e300
    if kind == "wild":
        value_U[random.integers(num)] = random.choice([1e6, 1e30, 1e300])
    if kind == "signed":
        return random.normal(random.choice([-3.0, 0.0, 0.1, 3.0]), 1.0, num)
    if kind == "tiny":
        return value_U * 1e-300
    if kind == "nan" and random.random() < 0.3:
        value_U[random.integers(num)] = random.choice([np.nan, np.inf])
    if kind == "arm alike":
        return np.where(arm_U == 1, 1.0, value_U)
    return value_U


class SecondOpinion(NamedTuple):
    """Both arms' values, the absolute change with its interval, and the relative one with its own."""

    control: float
    treatment: float
    low: float
    high: float
    p_value: float
    relative: tuple[float, float, float]


def second_opinion(
    spec: Spec, columns: tuple[str, ...], look: DaySnapshot, confidence: float, with_before: bool
) -> SecondOpinion:
    """Compute an effect from covariances, as the delta method and CUPED are usually written down.

    For looks without a wild value. tests/prove/ab/test_hostile_looks.py holds the analysis against it.
    """
    rows = {}
    for arm in (0, 1, 2):
        mask = look.arm_U == arm if arm < 2 else look.arm_U >= 0
        pick = [_column(spec.numerator, spec, columns, look, when)[mask] for when in (0, 1)]
        under = [_column(spec.denominator, None, columns, look, when)[mask] for when in (0, 1)]
        rows[arm] = np.stack([pick[0], under[0], pick[1], under[1]], 1)
    gradients = {arm: _gradients(r) for arm, r in rows.items()}
    theta = 0.0
    if with_before:
        cov = np.cov(rows[2].T)
        now, before = gradients[2]
        theta = (now @ cov @ before) / (before @ cov @ before)
    values, errors = [], []
    mean = rows[2].mean(0)
    for arm in (0, 1):
        m, cov = rows[arm].mean(0), np.cov(rows[arm].T)
        now, before = gradients[arm]
        direction = now - theta * before if with_before else now
        shift = theta * (m[2] / m[3] - mean[2] / mean[3]) if with_before else 0.0
        values.append(m[0] / m[1] - shift)
        errors.append(math.sqrt(max(0.0, direction @ cov @ direction) / len(rows[arm])))
    error = math.hypot(*errors)
    half = float(stats.norm.ppf((1 + confidence) / 2))
    change = values[1] - values[0]
    relative = (math.nan,) * 3
    if min(values) > 0:
        log_reach = half * math.hypot(errors[0] / values[0], errors[1] / values[1])
        ratio = values[1] / values[0]
        if log_reach < 700:
            relative = ratio - 1, ratio * math.exp(-log_reach) - 1, ratio * math.exp(log_reach) - 1
    scale = spec.scale
    return SecondOpinion(
        values[0] * scale,
        values[1] * scale,
        (change - half * error) * scale,
        (change + half * error) * scale,
        float(2 * stats.norm.sf(abs(change) / error)) if error else 1.0,
        relative,
    )


def _column(
    name: str | None, spec: Spec | None, columns: tuple[str, ...], look: DaySnapshot, when: int
) -> F64:
    sums = (look.sum_UC, look.before_UC)[when]
    if name is None or (name == OBSERVED and when == 1):
        return np.ones(len(sums))
    if name == OBSERVED:
        return look.observed_U
    values = sums[:, columns.index(name)]
    return values if spec is None or spec.least is None else (values >= spec.least).astype(float)


def _gradients(rows: F64) -> tuple[F64, F64]:
    """Return the gradients of both quotients by the four means."""
    a, b, c, d = rows.mean(0)
    before = np.array([0, 0, 1 / d, -c / d**2]) if d else np.zeros(4)
    return np.array([1 / b, -a / b**2, 0, 0]), before


def hostile_log(path: Path, seed: int, viewers: int = 130, days: int = 3) -> SqliteLog:
    """Write a log of an experiment `easq` with wild, negative, infinite and NaN values and propensities."""
    random = np.random.default_rng(seed)
    wild = random.choice([0.0, 0.02, 1.0])
    options = random.choice(
        ["satisfied", "dissatisfied", "uncertain"], int(random.integers(1, 4)), replace=False
    )
    extremes = [np.nan, np.inf, -np.inf, -5.0, 3.4e38, 0.0]
    events: list[Event] = []
    for day in range(days):
        for u in range(viewers):
            user, key = f"u{u}", f"{day}:{u}"
            ts = (20_454 + day) * DAY_MS + u * 1000
            arm = ("control", "easq")[(u + (random.random() < wild / 4)) % 2]
            play = float(random.choice(extremes)) if random.random() < wild else 900.0 * (1 + u % 7)
            events.append(
                Request(
                    event_id=f"r{key}", user_id=user, ts=ts, items=["a"], viewer={"user_id": pack_ids([u])},
                    candidates={"item_id": pack_ids([1])}, arm=f"easq/{arm}",
                )
            )  # fmt: skip
            values = {"play_ms": pack_floats([play]), "like": pack_floats([float(u % 3 == 0)])}
            events.append(
                Behavior(
                    event_id=f"b{key}",
                    user_id=user,
                    ts=ts + 1,
                    request_id=f"r{key}",
                    items=["a"],
                    values=values,
                )
            )
            propensity = float(random.choice([5e-324, 1e-300, 1e-6])) if random.random() < wild else 0.3
            asked = {
                "user_id": user, "request_id": f"r{key}", "item_id": "a", "question": "satisfaction",
                "propensity": propensity,
            }  # fmt: skip
            events.append(Asked(event_id=f"q{key}", ts=ts + 2, **asked))
            if random.random() < 0.6:
                option = str(random.choice(options))
                events.append(Answered(event_id=f"a{key}", ts=ts + 3, option=option, **asked))
    log = SqliteLog(path)
    log.append(EVENTS, events)
    return log
