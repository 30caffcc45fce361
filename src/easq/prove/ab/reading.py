"""Read one partition of a log into sums by viewer and day, in one pass and in the memory of a window.

Events of a request count once its window has closed. So repeated reports make one view, and reports that
come late or refer to an unknown request do not count, as in `easq.features.join`.
Shapes: Q requests, V views, A asks, C columns, P covariates.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, I64, Bool
from easq.log.base import EventLog
from easq.log.event_time import CONFIRMED_BY
from easq.log.events import EVENTS
from easq.log.ids import stable_ids
from easq.prove.ab.chunks import Block, LogChunks
from easq.prove.ab.experiment_metrics import ExperimentMetrics
from easq.prove.ab.sums import DAY_MS, Sums, day_key, joined, places, split_key, taken
from easq.recipe.assignment import arm_of
from easq.recipe.recipe import Recipe

Opener = Callable[[], EventLog]

_AT_ONCE = 1 << 16
_MINUTE_MS = 60_000
_HASH_BITS = 20
_FAR = np.iinfo(np.int64).max
COUNTS = ("events", "requests", "views", "asks", "answers", "late", "refused", "not_finite")


@dataclass
class PartitionData:
    """What was read from a partition: viewer-days, viewers, and asks with their covariates."""

    key_R: I64
    sum_RC: F32
    arm_U: I64
    entry_day_U: I64
    crossed_U: Bool
    hash_U: I64
    asks: Block
    counts: dict[str, int]
    share: float
    last_arm_ts: I64


class Partition:
    """Sums a partition's events, which come in order; `end` returns the sums.

    A viewer belongs to the first arm of `experiment` that a request's label names, from that request on.
    There are at most `most_rows` rows; beyond that a random half of the viewers is dropped, repeatedly.
    """

    def __init__(
        self,
        recipe: Recipe,
        metrics: ExperimentMetrics,
        arm_names: Sequence[str],
        experiment: str,
        most_rows: int,
    ) -> None:
        join = recipe.join
        self._behavior_ms = round(join.behavior_window * _MINUTE_MS)
        self._answer_ms = round(join.answer_window * _MINUTE_MS)
        self._wait_ms = self._answer_ms + round(join.lateness * _MINUTE_MS)
        self._gap_ms = round(recipe.metrics.session_gap_minutes * _MINUTE_MS)
        self._best = len(recipe.question.options) - 1
        self._metrics, self._most_rows = metrics, most_rows
        self._place = {name: place for place, name in enumerate(metrics.columns)}
        names = list(arm_names)

        def arm_number(label: str) -> int:
            arm = arm_of(label, experiment)
            return names.index(arm) if arm in names else -1

        self._chunks = LogChunks(metrics.behaviors, recipe.question, arm_number)
        self._sums = Sums(len(metrics.columns))
        self._waiting: dict[str, list[Block]] = {"requests": [], "views": [], "asks": [], "answers": []}
        self._num_waiting = self._num_left = 0
        self._newest = 0
        self._last_ts_U = np.zeros(0, np.int64)
        self._arm_U = np.zeros(0, np.int64)
        self._entry_U = np.zeros(0, np.int64)
        self._crossed_U = np.zeros(0, np.bool_)
        self._asked_U = np.zeros(0, np.int64)
        self._asks: list[Block] = []
        self._counts = dict.fromkeys(COUNTS, 0)
        self._share = 1.0
        self._last_arm_ts = np.zeros(0, np.int64)

    def ingest(self, encoded: Sequence[bytes]) -> None:
        """Add the next events."""
        chunk = self._chunks.decode(encoded)
        self._counts["events"] += len(encoded)
        self._counts["refused"] += chunk.refused
        self._counts["not_finite"] += chunk.not_finite
        self._grow()
        self._stay(chunk.stays)
        for name, blocks in self._waiting.items():
            blocks.append(getattr(chunk, name))
        self._num_waiting += len(chunk.requests["key"])
        if len(chunk.stays["ts"]):
            self._newest = max(self._newest, int(chunk.stays["ts"].max()))
        if self._num_waiting > 2 * self._num_left:
            self._close(self._newest - self._wait_ms)

    def end(self) -> PartitionData:
        """Close all windows, as at the end of a bounded log."""
        self._close(_FAR)
        self._sums.settle()
        self._thin()
        asks = joined(self._asks) if self._asks else {}
        hash_U = np.array(stable_ids(self._chunks.users), np.int64)
        entry_day_U = np.where(self._arm_U >= 0, self._entry_U // DAY_MS, -1)
        sums = self._sums
        # Halved: a sum at the edge of the range stays in it, and is seen as a wild value.
        most = np.finfo(np.float32).max / 2
        sum_RC = np.clip(sums.sum_RC, -most, most).astype(np.float32)
        viewers = (self._arm_U, entry_day_U, self._crossed_U, hash_U)
        return PartitionData(sums.key_R, sum_RC, *viewers, asks, self._counts, self._share, self._last_arm_ts)

    def _grow(self) -> None:
        new = len(self._chunks.users) - len(self._arm_U)
        if new <= 0:
            return
        self._last_ts_U = np.concatenate([self._last_ts_U, np.full(new, -_FAR // 2)])
        self._arm_U = np.concatenate([self._arm_U, np.full(new, -1)])
        self._entry_U = np.concatenate([self._entry_U, np.full(new, _FAR)])
        self._crossed_U = np.concatenate([self._crossed_U, np.zeros(new, np.bool_)])
        self._asked_U = np.concatenate([self._asked_U, np.zeros(new, np.int64)])

    def _stay(self, stays: Block) -> None:
        """Add the time between a viewer's events, without pauses longer than a session's gap."""
        order_N = np.lexsort((stays["ts"], stays["user"]))
        user_N, ts_N = stays["user"][order_N], stays["ts"][order_N]
        if not len(user_N):
            return
        is_first_N = np.ones(len(user_N), np.bool_)
        is_first_N[1:] = user_N[1:] != user_N[:-1]
        before_N = np.concatenate([[0], ts_N[:-1]])
        before_N[is_first_N] = self._last_ts_U[user_N[is_first_N]]
        gap_N = ts_N - before_N
        counts_N = (gap_N > 0) & (gap_N <= self._gap_ms)
        key_N = day_key(user_N[counts_N], ts_N[counts_N])
        self._sums.add(key_N, {self._place["stay_ms"]: gap_N[counts_N]})
        np.maximum.at(self._last_ts_U, user_N, ts_N)

    def _close(self, until: int) -> None:
        """Count the requests made before `until` and everything that refers to them."""
        blocks = {name: joined(waiting) for name, waiting in self._waiting.items() if waiting}
        if not blocks or not len(blocks["requests"]["key"]):
            return
        requests = blocks["requests"]
        order_Q = np.argsort(requests["key"], kind="stable")
        requests = taken(requests, order_Q)
        is_due_Q = requests["ts"] < until
        self._enter(taken(requests, is_due_Q))
        of = {name: places(requests["key"], blocks[name]["request"]) for name in ("views", "asks", "answers")}
        view_key_V, views = self._views(requests, is_due_Q, blocks["views"], of["views"])
        self._add_views(requests, is_due_Q, views)
        self._add_asks(requests, is_due_Q, blocks, of, view_key_V, views)
        open_blocks = {"requests": taken(requests, ~is_due_Q)}
        for name, request_N in of.items():
            is_known_N = request_N >= 0
            keeps_N = np.where(is_known_N, ~is_due_Q[request_N], blocks[name]["ts"] >= until)
            self._counts["late"] += int(np.count_nonzero(~is_known_N & ~keeps_N))
            open_blocks[name] = taken(blocks[name], keeps_N)
        self._waiting = {name: [block] for name, block in open_blocks.items()}
        self._num_waiting = self._num_left = len(open_blocks["requests"]["key"])
        if len(self._sums.key_R) > self._most_rows:
            self._thin()

    def _enter(self, requests: Block) -> None:
        """Record the arm of each viewer, and since when."""
        in_arm = taken(requests, requests["arm"] >= 0)
        in_arm = taken(in_arm, np.argsort(in_arm["ts"], kind="stable"))
        user_Q, arm_Q = in_arm["user"], in_arm["arm"]
        if len(user_Q):
            self._last_arm_ts = np.sort(np.concatenate([self._last_arm_ts, in_arm["ts"]]))[-CONFIRMED_BY:]
        # The first request in time is written last.
        is_new_Q = self._arm_U[user_Q] < 0
        self._arm_U[user_Q[is_new_Q][::-1]] = arm_Q[is_new_Q][::-1]
        np.minimum.at(self._entry_U, user_Q, in_arm["ts"])
        self._crossed_U[user_Q[arm_Q != self._arm_U[user_Q]]] = True

    def _views(self, requests: Block, is_due_Q: Bool, entries: Block, request_V: I64) -> tuple[I64, Block]:
        """Return the views of due requests and their sorted keys; of several reports the largest values."""
        entries = {**entries, "request": request_V}
        entries = taken(entries, self._fits(requests, is_due_Q, entries, self._behavior_ms))
        key_V = _view_key(requests["key"][entries["request"]], entries["item"])
        order_V = np.argsort(key_V, kind="stable")
        key_V, entries = key_V[order_V], taken(entries, order_V)
        is_first_V = np.ones(len(key_V), np.bool_)
        is_first_V[1:] = key_V[1:] != key_V[:-1]
        if is_first_V.all():
            return key_V, entries
        start = np.flatnonzero(is_first_V)
        value_VK = np.maximum.reduceat(entries["value"], start, 0)
        return key_V[start], {**taken(entries, start), "value": value_VK}

    def _fits(self, requests: Block, is_due_Q: Bool, entries: Block, window_ms: int) -> Bool:
        """Return which entries belong to a due request: of the same viewer, and within its window."""
        request_N = entries["request"]
        fits_N = (request_N >= 0) & is_due_Q[request_N]
        is_wrong_N = fits_N & (
            (entries["user"] != requests["user"][request_N])
            | (entries["ts"] > requests["ts"][request_N] + window_ms)
        )
        self._counts["late"] += int(np.count_nonzero(is_wrong_N))
        return np.asarray(fits_N & ~is_wrong_N)

    def _add_views(self, requests: Block, is_due_Q: Bool, views: Block) -> None:
        num = len(is_due_Q)
        request_V, value_VK = views["request"], views["value"]
        columns: dict[int, NDArray[np.generic]] = {
            self._place["requests"]: np.ones(num),
            self._place["views"]: np.bincount(request_V, minlength=num),
        }
        behaviors = self._metrics.behaviors
        for counted in self._metrics.counted:
            value_V = value_VK[:, behaviors.index(counted.behavior)]
            if counted.at_least is not None:
                value_V = value_V >= np.float32(counted.at_least)
            columns[self._place[counted.name]] = np.bincount(request_V, value_V, num)
        key_Q = day_key(requests["user"], requests["ts"])[is_due_Q]
        self._sums.add(key_Q, {place: column[is_due_Q] for place, column in columns.items()})
        self._counts["requests"] += len(key_Q)
        self._counts["views"] += len(request_V)

    def _add_asks(
        self,
        requests: Block,
        is_due_Q: Bool,
        blocks: dict[str, Block],
        of: dict[str, I64],
        view_key_V: I64,
        views: Block,
    ) -> None:
        """Count asks, and answers with the ask of the same view; an answer without an ask counts as one."""
        first_of_view = {}
        for name in ("asks", "answers"):
            block = {**blocks[name], "request": of[name]}
            block = taken(block, self._fits(requests, is_due_Q, block, self._answer_ms))
            block["view"] = _view_key(requests["key"][block["request"]], block["item"])
            first = np.sort(np.unique(block["view"], return_index=True)[1])
            first_of_view[name] = taken(block, first)
        asks, answers = first_of_view["asks"], first_of_view["answers"]
        own = taken(answers, ~np.isin(answers["view"], asks["view"]))
        asks = joined([asks, {name: own[name] for name in asks}])
        if not len(asks["view"]):
            return
        asks = taken(asks, np.argsort(asks["ts"], kind="stable"))
        by_view = np.argsort(answers["view"], kind="stable")
        answer_A = places(answers["view"][by_view], asks["view"])
        is_answered_A = answer_A >= 0
        row_A = by_view[answer_A[is_answered_A]]
        option_A = np.full(len(answer_A), -1)
        option_A[is_answered_A] = answers["option"][row_A]
        weight_A = np.zeros(len(answer_A))
        weight_A[is_answered_A] = answers["weight"][row_A]
        view_A = places(view_key_V, asks["view"])
        value_AK = np.zeros((len(view_A), views["value"].shape[1]), np.float32)
        value_AK[view_A >= 0] = views["value"][view_A[view_A >= 0]]
        key_A = day_key(asks["user"], requests["ts"][asks["request"]])
        columns = {
            "asked": np.ones(len(key_A)), "answered": is_answered_A,
            "satisfied": option_A == self._best, "dissatisfied": option_A == 0,
        }  # fmt: skip
        self._sums.add(key_A, {self._place[name]: column for name, column in columns.items()})
        self._asks.append(
            {
                "key": key_A, "ts": asks["ts"], "propensity": asks["propensity"], "option": option_A,
                "weight": weight_A, "value": value_AK, "number": self._numbers(asks["user"]),
            }
        )  # fmt: skip
        self._counts["asks"] += len(key_A)
        self._counts["answers"] += int(is_answered_A.sum())

    def _numbers(self, user_A: I64) -> I64:
        """Return each ask's number among its viewer's asks, from 1."""
        order_A = np.argsort(user_A, kind="stable")
        sorted_A = user_A[order_A]
        first_A = np.searchsorted(sorted_A, sorted_A)
        number_A = np.empty(len(user_A), np.int64)
        number_A[order_A] = np.arange(len(user_A)) - first_A + 1 + self._asked_U[sorted_A]
        np.add.at(self._asked_U, user_A, 1)
        return number_A

    def _thin(self) -> None:
        self._sums.settle()
        hash_U = np.array(stable_ids(self._chunks.users), np.int64)
        while len(self._sums.key_R) > self._most_rows:
            self._share /= 2
            self._sums.keep(is_kept(hash_U, self._share)[split_key(self._sums.key_R)[0]])


def is_kept(hash_U: I64, share: float) -> Bool:
    """Return which viewers are in a random share, which depends on nothing they did."""
    return np.asarray((hash_U >> 8) % (1 << _HASH_BITS) < share * (1 << _HASH_BITS))


def _view_key(request_N: I64, item_N: I64) -> I64:
    return (request_N * np.int64(-7046029254386353131)) ^ item_N


@dataclass(frozen=True)
class PartitionTask:
    """A partition to read: its offsets, and the experiment it is read for."""

    recipe: Recipe
    metrics: ExperimentMetrics
    experiment: str
    arm_names: tuple[str, ...]
    most_rows: int
    number: int
    start: int
    end: int


def read_partition(log: EventLog, task: PartitionTask) -> PartitionData:
    """Read a partition between two offsets and return its sums."""
    partition = Partition(task.recipe, task.metrics, task.arm_names, task.experiment, task.most_rows)
    offset = task.start
    while offset < task.end:
        encoded = log.read_encoded(EVENTS, task.number, offset, min(_AT_ONCE, task.end - offset))
        partition.ingest(encoded)
        offset += len(encoded)
    return partition.end()


def read_opened(opener: Opener, task: PartitionTask) -> PartitionData:
    """Open a log, read the partition of a task and close the log."""
    with closing(opener()) as log:
        return read_partition(log, task)
