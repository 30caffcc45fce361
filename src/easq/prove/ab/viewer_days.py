"""A log as a table of viewer-days, and an experiment's sums by viewer at the end of each day.

Shapes: R viewer-days, U viewers, C columns, A asks.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from itertools import pairwise

import numpy as np

from easq.arrays import F32, F64, I64, Bool
from easq.errors import InputError
from easq.log.base import EventLog
from easq.log.event_time import CONFIRMED_BY
from easq.log.events import EVENTS
from easq.prove.ab.answer_weights import NoAsks, ResponseSummary, weigh
from easq.prove.ab.experiment_metrics import WEIGHTED, WEIGHTED_SATISFIED, ExperimentMetrics
from easq.prove.ab.reading import (
    COUNTS,
    Opener,
    PartitionData,
    PartitionTask,
    is_kept,
    read_opened,
    read_partition,
)
from easq.prove.ab.sums import DAY_MS, joined, split_key
from easq.recipe.experiments import Experiment
from easq.recipe.recipe import Recipe

MOST_ROWS = 1 << 22
_WORTH_IT = 1_000_000
_EPOCH = date(1970, 1, 1)
_PAUSE_DAYS = 31
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ViewerDays:
    """Sums by viewer and UTC day (days since 1970) in order of days; `arm_U` is -1 outside of the experiment.

    `share` is the share of the viewers that is included. `crossed_U` marks viewers that were later seen in
    another arm. `last_arm_day` is the last day with a request that names an arm, or -1.
    """

    metrics: ExperimentMetrics
    viewer_R: I64
    day_R: I64
    sum_RC: F32
    arm_U: I64
    entry_day_U: I64
    crossed_U: Bool
    share: float
    last_arm_day: int
    counts: dict[str, int]
    response: ResponseSummary | NoAsks

    @property
    def first_day(self) -> int:
        """Return the first day of the log."""
        return int(self.day_R[0])

    @property
    def last_day(self) -> int:
        """Return the last day of the log."""
        return int(self.day_R[-1])

    def add_days(self, low: int, high: int, since_U: I64, into_UC: F64) -> None:
        """Add the sums of days in [low, high) to the viewers' sums, each viewer's from day `since_U` on."""
        first, end = np.searchsorted(self.day_R, [low, high]).tolist()
        viewer = self.viewer_R[first:end]
        counts = self.day_R[first:end] >= since_U[viewer]
        viewer, sums = viewer[counts], self.sum_RC[first:end][counts]
        # A viewer has one row a day, and a separate one for each answer.
        for column in range(sums.shape[1]):
            into_UC[:, column] += np.bincount(viewer, sums[:, column], len(into_UC))


def read_table(
    recipe: Recipe,
    experiment: Experiment | None,
    log: EventLog,
    on_progress: Progress = lambda *_: None,
    most_rows: int = MOST_ROWS,
    opener: Opener | None = None,
) -> ViewerDays:
    """Read a log once. Without an experiment no viewer has an arm.

    With an `opener`, which can be pickled and opens the same log, partitions are read by as many processes
    as there are processors. Raises InputError when the log holds no request.
    """
    metrics = ExperimentMetrics.of(recipe)
    name = experiment.name if experiment else ""
    arm_names = tuple(arm.name for arm in experiment.arms) if experiment else ()
    starts, ends = log.start_offsets(EVENTS), log.end_offsets(EVENTS)
    tasks = [
        PartitionTask(recipe, metrics, name, arm_names, most_rows // len(ends), number, start, end)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]
    parts, done = [], 0
    for task, part in zip(tasks, _read(log, tasks, opener), strict=True):
        parts.append(part)
        done += task.end - task.start
        on_progress(done, sum(ends) - sum(starts))
    return _combined(recipe, metrics, parts)


def _read(log: EventLog, tasks: list[PartitionTask], opener: Opener | None) -> Iterator[PartitionData]:
    """Yield the sums of each partition, in order."""
    processes = min(len(tasks), len(os.sched_getaffinity(0)))
    if opener is None or processes == 1 or sum(t.end - t.start for t in tasks) < _WORTH_IT:
        yield from (read_partition(log, task) for task in tasks)
        return
    # Not forked: other threads may hold locks, and the log is open here.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(partial(read_opened, opener), tasks)


def _combined(recipe: Recipe, metrics: ExperimentMetrics, parts: list[PartitionData]) -> ViewerDays:
    """Concatenate the partitions' tables and number their viewers consecutively."""
    share = min(part.share for part in parts)
    shift = np.cumsum([0, *(len(p.arm_U) for p in parts)]).tolist()
    viewers = [split_key(p.key_R)[0] + s for p, s in zip(parts, shift, strict=False)]
    viewer_R, day_R = np.concatenate(viewers), np.concatenate([split_key(p.key_R)[1] for p in parts])
    if not len(viewer_R):
        raise InputError("the log holds no request, so there is nothing to measure")
    sum_RC = np.concatenate([p.sum_RC for p in parts])
    kept_U = is_kept(np.concatenate([p.hash_U for p in parts]), share)
    columns = metrics.columns
    sum_RC[:, columns.index("days")] = sum_RC[:, columns.index("requests")] > 0
    asks = [
        {**p.asks, "viewer": split_key(p.asks["key"])[0] + s}
        for p, s in zip(parts, shift, strict=False)
        if p.asks
    ]
    response: ResponseSummary | NoAsks = NoAsks()
    if asks:
        asked = joined(asks)
        weight_A, response = weigh(asked)
        row_AC = np.zeros((len(weight_A), len(columns)), np.float32)
        row_AC[:, columns.index(WEIGHTED)] = weight_A
        best = len(recipe.question.options) - 1
        row_AC[:, columns.index(WEIGHTED_SATISFIED)] = weight_A * (asked["option"] == best)
        is_used_A = weight_A > 0
        viewer_R = np.concatenate([viewer_R, asked["viewer"][is_used_A]])
        day_R = np.concatenate([day_R, split_key(asked["key"])[1][is_used_A]])
        sum_RC = np.concatenate([sum_RC, row_AC[is_used_A]])
    order_R = np.argsort(day_R, kind="stable")
    order_R = order_R[kept_U[viewer_R[order_R]]]
    return ViewerDays(
        metrics,
        viewer_R[order_R],
        day_R[order_R],
        sum_RC[order_R],
        np.where(kept_U, np.concatenate([p.arm_U for p in parts]), -1),
        np.concatenate([p.entry_day_U for p in parts]),
        np.concatenate([p.crossed_U for p in parts]) & kept_U,
        share,
        last_arm_day(np.concatenate([part.last_arm_ts for part in parts])),
        {name: sum(p.counts[name] for p in parts) for name in COUNTS},
        response,
    )


def last_arm_day(last_ts: I64) -> int:
    """Return the last day with requests of arms, from the newest 16 or more of them; -1 if there are none.

    Fewer than 16 that lie more than a month after all others are stamps of a wrong clock.

    >>> last_arm_day(np.array([5, 6, 400]) * DAY_MS), last_arm_day(np.array([5, 6, 30]) * DAY_MS)
    (6, 30)
    """
    days = np.unique(last_ts // DAY_MS)[::-1].tolist()
    for day, before in pairwise(days):
        if day - before > _PAUSE_DAYS and np.count_nonzero(last_ts // DAY_MS >= day) < CONFIRMED_BY:
            return int(before)
    return int(days[0]) if days else -1


@dataclass(frozen=True)
class DaySnapshot:
    """The state at the end of `day`: each viewer's sums since entry, and those from before the start.

    `observed_U` counts the days since the entry, including the day of the entry and `day`.
    """

    day: int
    viewer_U: I64
    arm_U: I64
    sum_UC: F64
    before_UC: F64
    observed_U: F64


def as_one_arm(table: ViewerDays, start: int) -> ViewerDays:
    """Return the table as if every viewer of a day from `start` on had entered the control arm then."""
    entry_U = np.full(len(table.arm_U), table.last_day + 1)
    requests = table.metrics.columns.index("requests")
    came_R = (table.day_R >= start) & (table.sum_RC[:, requests] > 0)
    np.minimum.at(entry_U, table.viewer_R[came_R], table.day_R[came_R])
    arm_U = np.where(entry_U <= table.last_day, 0, -1)
    return replace(table, arm_U=arm_U, entry_day_U=entry_U, crossed_U=np.zeros(len(arm_U), np.bool_))


def snapshots(
    table: ViewerDays, start: int, end: int, pre_days: int, days: list[int] | None = None
) -> Iterator[DaySnapshot]:
    """Yield a snapshot at the end of each day in [start, end], or of some `days`.

    Of a pause in which nothing happened only the first month has snapshots: a single stamp of a wrong clock
    may put the end decades away. The arrays hold the viewers that had an arm by then, in one order; they
    change with the next snapshot.
    """
    in_U = np.flatnonzero((table.arm_U >= 0) & (table.entry_day_U <= end))
    arm_U = table.arm_U[in_U]
    entry_U = np.maximum(table.entry_day_U, start)
    every_UC = np.zeros((len(table.arm_U), len(table.metrics.columns)))
    table.add_days(start - pre_days, start, np.zeros_like(entry_U), every_UC)
    before_UC = every_UC[in_U]
    every_UC[:] = 0
    since = start
    for day in range(start, end + 1) if days is None else sorted({*days} & {*range(start, end + 1)}):
        if days is None and _is_far_in_a_pause(table, day, end):
            continue
        table.add_days(since, day + 1, entry_U, every_UC)
        since = day + 1
        is_there_U = entry_U[in_U] <= day
        observed_U = (day - entry_U[in_U] + 1)[is_there_U].astype(np.float64)
        viewer_U = in_U[is_there_U]
        yield DaySnapshot(
            day, viewer_U, arm_U[is_there_U], every_UC[in_U][is_there_U], before_UC[is_there_U], observed_U
        )


def _is_far_in_a_pause(table: ViewerDays, day: int, end: int) -> bool:
    low, high = np.searchsorted(table.day_R, [day - _PAUSE_DAYS, day + 1])
    return day != end and low == high


def day_number(day: date) -> int:
    """Return the days since 1970.

    >>> day_number(date(1970, 1, 11)), day_date(10)
    (10, datetime.date(1970, 1, 11))
    """
    return (day - _EPOCH).days


def day_date(number: int) -> date:
    """Return the date of a day."""
    return datetime.fromtimestamp(number * DAY_MS / 1000, UTC).date()
