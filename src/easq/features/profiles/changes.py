"""What changed in profiles between two saves, as the store writes it and reads it back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from easq.features.profiles.reports import NewReport
from easq.features.profiles.value_table import Values, ValueTable
from easq.log.events import Behavior, Event, Request

VIEWERS, ITEMS = 0, 1
"""The two sides, as an index."""

OpenRequestRow = tuple[int, int, str, str, dict[str, int]]
"""Partition, time, id, viewer, and the bits reached by item."""


class ProfilesState(msgspec.Struct, frozen=True):
    """The part of the state that is not stored by key.

    By partition of EVENTS, `progress` holds the event time and the number of refused reports. By side,
    `rings` holds the newest bucket of each rate. Requests more than `window_ms` older than the event time
    are closed.
    """

    offsets: list[int]
    refused: int
    window_ms: int
    progress: list[tuple[int, int]] = msgspec.field(name="heard")
    rings: list[list[int]]
    ahead: list[tuple[int, int]] = []
    """By partition, what runs ahead of the event time; see `EventTime`."""


@dataclass
class Changes:
    """What changed. A key that is named without need does no harm."""

    values: tuple[dict[str, Values], dict[str, Values]] = field(default_factory=lambda: ({}, {}))
    counted: tuple[set[str], set[str]] = field(default_factory=lambda: (set(), set()))
    viewers: set[str] = field(default_factory=set)
    requests: set[tuple[int, str]] = field(default_factory=set)

    def add_events(self, partition: int, events: Iterable[Event], new: Iterable[NewReport]) -> None:
        """Note what events of a partition changed, except counts."""
        for event in events:
            if isinstance(event, Behavior):
                self.requests.add((partition, event.request_id))
            elif isinstance(event, Request):
                self.requests.add((partition, event.event_id))
        self.viewers.update([user_id for user_id, *_ in new])


class CountRows(NamedTuple):
    """Copies of counts: one row per key of `keys` for each rate. Nothing is left of the keys `gone`."""

    keys: list[str]
    gone: list[str]
    counts: list[NDArray[np.uint32]]


@dataclass(frozen=True)
class Snapshot:
    """What changed since the last snapshot; tuples and `counted` are by side."""

    state: ProfilesState
    values: tuple[dict[str, Values], dict[str, Values]]
    counted: list[CountRows]
    histories: dict[str, list[list[str]]]
    requests: list[OpenRequestRow]


@dataclass(frozen=True)
class Stored:
    """The whole state, as a store reads it. `counts[side][rate]` holds entries of `Buckets` by key."""

    state: ProfilesState
    values: Sequence[Iterable[tuple[str, Values]]]
    counts: Sequence[Sequence[Mapping[str, bytes]]]
    histories: Iterable[tuple[str, list[list[str]]]]
    requests: Iterable[OpenRequestRow]


def counts_of(table: ValueTable, keys: set[str]) -> CountRows:
    """Return copies of the counts of some keys."""
    known = [key for key in keys if key in table.index.row_of]
    rows = table.index.rows(known)
    counts = [rate.buckets.counts(rows) for rate in table.rates]
    return CountRows(known, list(keys.difference(known)), counts)
