"""Profiles of viewers and items: a function of the log and of nothing else."""

import hashlib
from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from easq.arrays import I64
from easq.features.columns import Columns, List, Shape
from easq.features.profiles.buckets import NUM_BUCKETS, PER_HALF_LIFE
from easq.features.profiles.changes import ITEMS, VIEWERS, Changes, ProfilesState, Snapshot, Stored, counts_of
from easq.features.profiles.histories import Histories
from easq.features.profiles.reports import SEEN, BehaviorReports, Conditions, NewReport, OpenRequest
from easq.features.profiles.value_table import Values, ValueTable
from easq.log.event_time import times_of
from easq.log.events import EVENTS, PROFILES, Event, ItemUpdate, ProfileUpdate, ViewerUpdate
from easq.log.packing import Column
from easq.recipe.features import BehaviorKind, Feature, History
from easq.recipe.recipe import Recipe

_MINUTE_MS = 60_000
_RESTORED_AT_ONCE = 4096


class Profiles:
    """Viewers and items as of `offsets`: values from the platform, recent histories, rates.

    The same offsets give the same features to the byte, whatever the order of the partitions and the
    cuts between calls. `behaviors` define from which value on a rate counts a behavior. `window_ms` is how
    long a request waits for reports. Both topics have `num_partitions`.
    """

    offsets: list[int]
    """Offsets by partition of EVENTS and then of PROFILES. Everything before is applied."""

    def __init__(
        self,
        features: Sequence[Feature],
        window_ms: int,
        num_partitions: int,
        behaviors: Sequence[BehaviorKind] = (),
    ) -> None:
        if window_ms <= 0 or num_partitions <= 0:
            raise ValueError(f"window and partitions must be positive, got {window_ms} and {num_partitions}")
        self._features, self._window = tuple(features), window_ms
        self._behaviors, self._num_partitions = tuple(behaviors), num_partitions
        self._shape = Shape.of(features, "viewer")
        candidate = Shape.of(features, "candidate")
        self._place = {f.name: k for k, f in enumerate(candidate.singles)}
        conditions = Conditions(features, behaviors)
        self._history_bits = {f.name: conditions.bit(f) for f in self._shape.lists if isinstance(f, History)}
        self._rate_bits = [
            [conditions.bit(f) for f in shape.numbers if f.rate] for shape in (self._shape, candidate)
        ]
        self._conditions = conditions
        self.clear()

    @staticmethod
    def of(recipe: Recipe, num_partitions: int) -> "Profiles":
        """Return the empty profiles of a recipe."""
        window_ms = round(recipe.join.behavior_window * _MINUTE_MS)
        return Profiles(recipe.features, window_ms, num_partitions, recipe.behaviors)

    def clear(self) -> None:
        """Forget everything, as before the first event."""
        self.offsets = [0] * (2 * self._num_partitions)
        self._viewers = ValueTable(self._shape, "user_id")
        self._items = ValueTable(Shape.of(self._features, "candidate"), "item_id")
        self._tables = (self._viewers, self._items)
        self._changes: Changes | None = None
        self._histories: dict[str, Histories[str]] = {
            f.name: Histories(f.length) for f in self._shape.lists if isinstance(f, History)
        }
        self._reports = [BehaviorReports(self._conditions, self._window) for _ in range(self._num_partitions)]
        self._refused = 0

    @property
    def newest_ms(self) -> int:
        """The time of the newest event of viewers, in Unix milliseconds; 0 without any."""
        return max((reports.newest for reports in self._reports), default=0)

    @property
    def refused(self) -> int:
        """Return how many events were ignored because a value had a wrong size."""
        return self._refused + sum(s.refused for s in self._reports)

    def apply(self, topic: str, partition: int, events: Sequence[Event]) -> None:
        """Apply the next events of a partition, in order. Raises ValueError for an unknown partition."""
        if topic not in (EVENTS, PROFILES) or not 0 <= partition < self._num_partitions:
            raise ValueError(
                f"profiles read partitions 0 to {self._num_partitions - 1} of {EVENTS} and {PROFILES}, "
                f"got {partition} of {topic}"
            )
        if topic == EVENTS:
            new = self._reports[partition].ingest(events)
            if self._changes:
                self._changes.add_events(partition, events, new)
            if new:
                self._remember(new)
                self._count(new)
            self.offsets[partition] += len(events)
        else:
            self._put(VIEWERS, [(e.user_id, e.values) for e in events if isinstance(e, ViewerUpdate)])
            self._put(ITEMS, [(e.item_id, e.values) for e in events if isinstance(e, ItemUpdate)])
            self.offsets[self._num_partitions + partition] += len(events)

    @property
    def event_ms(self) -> int:
        """Return how far the partition that is furthest has come, in ms of event time; 0 before any event."""
        return max(reports.newest for reports in self._reports)

    def viewer(self, user_id: str, ts: int) -> Columns:
        """Return the features of a viewer as of `ts`, in one row."""
        row = self._viewers.read([user_id], ts)
        multi = iter(row.lists)
        lists = tuple(
            self._recent(user_id, f) if isinstance(f, History) else next(multi) for f in self._shape.lists
        )
        return Columns(row.ids_NK, row.numbers_NM, lists, row.vectors)

    def histories_of(self, user_id: str) -> dict[str, list[str]]:
        """Return the items in a viewer's histories, by feature, oldest first."""
        return {name: list(history.recent(user_id)) for name, history in self._histories.items()}

    def rates_of(self, user_id: str, ts: int) -> dict[str, float]:
        """Return a viewer's rates as of `ts`."""
        numbers_NM = self.viewer(user_id, ts).numbers_NM
        return {f.name: float(numbers_NM[0, m]) for m, f in enumerate(self._shape.numbers) if f.rate}

    def candidates(self, items: Sequence[str], ts: int) -> Columns:
        """Return the features of items as of `ts`, one row per item."""
        return self._items.read(items, ts)

    def viewer_values(self, user_id: str) -> dict[str, Column] | None:
        """Return a viewer's values from the platform, with lists cut to length; None if there are none."""
        return self._viewers.values(user_id)

    def item_values(self, item_id: str) -> dict[str, Column] | None:
        """Return an item's values from the platform, with lists cut to length; None if there are none."""
        return self._items.values(item_id)

    def author_of(self, feature: str, item_id: str) -> str:
        """Return an item's value of a feature in hexadecimal, empty if there is none."""
        return (self.item_values(item_id) or {}).get(feature, b"").hex()

    def knows(self, update: ProfileUpdate) -> bool:
        """Return whether an update changes nothing, so that it need not be logged."""
        if isinstance(update, ViewerUpdate):
            return self._viewers.values(update.user_id) == self._viewers.cut(update.values)
        return self._items.values(update.item_id) == self._items.cut(update.values)

    @property
    def identity(self) -> str:
        """Return a digest of all that decides what is stored: features, behaviors, windows, partitions."""
        declared = [
            list(map(_declared, self._features)),
            [(b.name, b.at_least) for b in self._behaviors],
            [self._window, self._num_partitions, PER_HALF_LIFE, NUM_BUCKETS],
        ]
        return hashlib.blake2b(msgspec.json.encode(declared), digest_size=16).hexdigest()

    def track(self) -> None:
        """Track changes from here on, for `take_changes`.

        Raises ValueError after the first event, because earlier changes would be missing.
        """
        if any(self.offsets):
            raise ValueError(
                f"changes are tracked from the first event on, and {sum(self.offsets)} were applied"
            )
        self._changes = Changes()

    def take_changes(self) -> Snapshot:
        """Return what changed since the last call, as copies that do not change any more.

        Raises ValueError if changes are not tracked.
        """
        if self._changes is None:
            raise ValueError("changes are not tracked; load the store before the first event")
        changes, self._changes = self._changes, Changes()
        return Snapshot(
            ProfilesState(
                list(self.offsets),
                self._refused,
                self._window,
                [(s.newest, s.refused) for s in self._reports],
                [[rate.buckets.newest for rate in table.rates] for table in self._tables],
                [(s.time.ahead, s.time.oldest_ahead) for s in self._reports],
            ),
            changes.values,
            [counts_of(table, keys) for table, keys in zip(self._tables, changes.counted, strict=True)],
            {user: [list(h.recent(user)) for h in self._histories.values()] for user in changes.viewers},
            [
                (partition, opened.ts, request_id, opened.user_id, dict(opened.reached))
                for partition, request_id in changes.requests
                if (opened := self._reports[partition].open.get(request_id)) is not None
            ],
        )

    def restore(self, stored: Stored) -> None:
        """Restore the stored state. Only before the first event."""
        state = stored.state
        for table, values, counts, newest in zip(
            self._tables, stored.values, stored.counts, state.rings, strict=True
        ):
            rest = iter(values)
            while batch := list(islice(rest, _RESTORED_AT_ONCE)):
                table.put(batch)
            for rate, entries in enumerate(counts):
                table.restore_counts(rate, newest[rate], entries)
        for user_id, histories in stored.histories:
            for history, items in zip(self._histories.values(), histories, strict=True):
                history.observe(user_id, map(self._items.index.same, items))
        opened: list[dict[str, OpenRequest]] = [{} for _ in self._reports]
        for partition, ts, request_id, user_id, reached in stored.requests:
            opened[partition][request_id] = OpenRequest(user_id, ts, reached)
        times = times_of([newest_ts for newest_ts, _ in state.progress], state.ahead)
        for reports, time, (_, refused), requests in zip(
            self._reports, times, state.progress, opened, strict=True
        ):
            reports.restore(time, requests, refused)
        self.offsets, self._refused = list(state.offsets), state.refused

    def _put(self, side: int, updates: list[tuple[str, Values]]) -> None:
        current, refused = self._tables[side].put(updates)
        self._refused += refused
        if self._changes:
            self._changes.values[side].update(current)

    def _recent(self, user_id: str, feature: History) -> List:
        items = self._histories[feature.name].recent(user_id)
        ids_NL: I64 = np.zeros((1, feature.length), np.int64)
        ids_NL[0, : len(items)] = self._items.ids(items, self._place[feature.of])
        return List(ids_NL, np.array([len(items)], np.int64))

    def _remember(self, new: list[NewReport]) -> None:
        for name, bit in self._history_bits.items():
            observe = self._histories[name].observe
            for user_id, item_id, _, bits in new:
                if bits & bit:
                    observe(user_id, (self._items.index.same(item_id),))

    def _count(self, new: list[NewReport]) -> None:
        times = [ts for _, _, ts, _ in new]
        is_view = [bits & SEEN > 0 for *_, bits in new]
        for side, counted in enumerate(self._rate_bits):
            if counted:
                keys = [user_id if side == VIEWERS else item_id for user_id, item_id, *_ in new]
                positives = [[bits & bit > 0 for *_, bits in new] for bit in counted]
                gone = self._tables[side].count(keys, times, is_view, positives)
                if self._changes:
                    self._changes.counted[side].update(keys, gone)


def _declared(feature: Feature) -> dict[str, Any]:
    """Return a feature as plain data, without a newer key that it does not use."""
    data: dict[str, Any] = msgspec.to_builtins(feature)
    return {key: value for key, value in data.items() if key != "standardized" or value}
