"""What is new in behavior reports: reports are cumulative, and copies add nothing."""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from struct import unpack

import msgspec

from easq.log.event_time import EventTime
from easq.log.events import Behavior, Event, Request
from easq.log.packing import FLOAT, Column
from easq.recipe.features import BehaviorKind, Feature, History, Number

Condition = tuple[str, float]
"""A behavior and the value that it has to reach."""

SEEN = 1
"""The bit of the view itself. Condition n has the bit `SEEN << n + 1`."""

NewReport = tuple[str, str, int, int]
"""Viewer, item, the request's time, and the bits reached for the first time."""


class Conditions:
    """The distinct conditions of all histories and rates, each with a bit."""

    def __init__(self, features: Sequence[Feature], behaviors: Sequence[BehaviorKind]) -> None:
        self._at_least = {b.name: b.at_least for b in behaviors}
        self._bits: dict[Condition, int] = {}
        for feature in features:
            if isinstance(feature, History) or (isinstance(feature, Number) and feature.rate):
                self.bit(feature)

    def bit(self, feature: History | Number) -> int:
        """Return the bit of a history or a rate. Raises ValueError for an unknown behavior."""
        if isinstance(feature, History):
            if feature.where is None:
                return SEEN
            condition = (feature.where, feature.at_least)
        else:
            assert feature.rate is not None
            behavior = feature.rate.behavior
            if behavior not in self._at_least:
                allowed = ", ".join(self._at_least) or "none"
                raise ValueError(f"rate of {feature.name}: got {behavior!r}; the behaviors are: {allowed}")
            condition = (behavior, self._at_least[behavior])
        return self._bits.setdefault(condition, SEEN << len(self._bits) + 1)

    def reached(self, values: dict[str, Column], num: int) -> list[int]:
        """Return the bits reached by each of `num` items. Raises ValueError for a column of a wrong size."""
        if any(len(column) != num * FLOAT.itemsize for column in values.values()):
            raise ValueError("a column does not have one value per item")
        bits = [SEEN] * num
        for (name, at_least), bit in self._bits.items():
            column = values.get(name)
            if column is not None:
                for n, value in enumerate(unpack(f"<{num}f", column)):
                    if value >= at_least:
                        bits[n] |= bit
        return bits


class OpenRequest(msgspec.Struct, gc=False):
    """A viewer's request whose window has not passed, and the bits reached by its items."""

    user_id: str
    ts: int
    reached: dict[str, int]


class BehaviorReports:
    """The open requests of one partition of EVENTS.

    A request is open until the partition's event time is more than `window_ms` past the request's own.
    Reports on requests that are not open, or that belong to another viewer, are ignored.
    """

    def __init__(self, conditions: Conditions, window_ms: int) -> None:
        self._conditions, self._window = conditions, window_ms
        self.time = EventTime()
        self.open: dict[str, OpenRequest] = {}
        self._due: list[tuple[int, str]] = []
        self.refused = 0

    def ingest(self, events: Sequence[Event]) -> list[NewReport]:
        """Apply the partition's next events and return what is new in them, in order."""
        new: list[NewReport] = []
        window, opened_by_id = self._window, self.open
        for event in events:
            newest = self.time.move(event.ts)
            if isinstance(event, Behavior):
                opened = opened_by_id.get(event.request_id)
                is_open = opened is not None and newest <= opened.ts + window
                if opened is not None and is_open and event.user_id == opened.user_id:
                    self._add(opened, event, new)
            elif isinstance(event, Request):
                is_past = newest > event.ts + window
                if not is_past and event.event_id not in opened_by_id:
                    opened_by_id[event.event_id] = OpenRequest(event.user_id, event.ts, {})
                    heappush(self._due, (event.ts, event.event_id))
        self._forget()
        return new

    @property
    def newest(self) -> int:
        """Return the event time, in ms."""
        return self.time.newest

    def restore(self, time: EventTime, opened: dict[str, OpenRequest], refused: int) -> None:
        """Continue with these open requests at this event time."""
        self.time, self.open, self.refused = time, opened, refused
        self._due = [(o.ts, request_id) for request_id, o in opened.items()]
        heapify(self._due)
        self._forget()

    def _add(self, opened: OpenRequest, event: Behavior, new: list[NewReport]) -> None:
        try:
            bits = self._conditions.reached(event.values, len(event.items))
        except ValueError:
            self.refused += 1
            return
        reached = opened.reached
        for item, bit in zip(event.items, bits, strict=True):
            before = reached.get(item, 0)
            if bit & ~before:
                reached[item] = before | bit
                # A view of a wrong clock far ahead would make every older view too old to count.
                new.append((event.user_id, item, min(opened.ts, self.newest), bit & ~before))

    def _forget(self) -> None:
        due, horizon = self._due, self.newest - self._window
        while due and due[0][0] < horizon:
            del self.open[heappop(due)[1]]
