"""What changed in profiles between two saves, as the store writes it and reads it back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from easq.features.profiles.reports import New
from easq.features.profiles.value_table import Values, ValueTable
from easq.log.events import Behavior, Event, Request

VIEWERS, ITEMS = 0, 1
"""The two sides, wherever something is kept for each."""

OpenRequest = tuple[int, int, str, str, dict[str, int]]
"""Partition, time, id, viewer, and the bits reached by item."""


class ProfilesState(msgspec.Struct, frozen=True):
    """What is not kept by key.

    By partition of EVENTS, `heard` holds the event time and the reports refused; by side, `rings` holds
    the newest bucket of each rate. Requests older than `window_ms` before the event time are closed.
    """

    offsets: list[int]
    refused: int
    window_ms: int
    heard: list[tuple[int, int]]
    rings: list[list[int]]


@dataclass
class Changes:
    """Notes of what changed; a key that is named without need does no harm."""

    told: tuple[dict[str, Values], dict[str, Values]] = field(default_factory=lambda: ({}, {}))
    counted: tuple[set[str], set[str]] = field(default_factory=lambda: (set(), set()))
    viewers: set[str] = field(default_factory=set)
    requests: set[tuple[int, str]] = field(default_factory=set)

    def heard(self, partition: int, events: Iterable[Event], new: Iterable[New]) -> None:
        """Note what events of a partition changed, besides counts."""
        for event in events:
            if isinstance(event, Behavior):
                self.requests.add((partition, event.request_id))
            elif isinstance(event, Request):
                self.requests.add((partition, event.event_id))
        self.viewers.update([user_id for user_id, *_ in new])


class CountRows(NamedTuple):
    """Copies of counts: of each rate a row for each of `keys`; nothing is left of `gone`."""

    keys: list[str]
    gone: list[str]
    counts: list[NDArray[np.uint32]]


@dataclass(frozen=True)
class Snapshot:
    """What changed since the last snapshot, by side where there are two."""

    state: ProfilesState
    told: tuple[dict[str, Values], dict[str, Values]]
    counted: list[CountRows]
    histories: dict[str, list[list[str]]]
    requests: list[OpenRequest]


@dataclass(frozen=True)
class Stored:
    """Everything, as a store reads it; `counts[side][rate]` holds entries of `Buckets` by key."""

    state: ProfilesState
    told: Sequence[Iterable[tuple[str, Values]]]
    counts: Sequence[Sequence[Mapping[str, bytes]]]
    histories: Iterable[tuple[str, list[list[str]]]]
    requests: Iterable[OpenRequest]


def counts_of(table: ValueTable, keys: set[str]) -> CountRows:
    """Return copies of the counts of some keys."""
    found = [key for key in keys if key in table.index.row_of]
    rows = table.index.rows(found)
    return CountRows(found, list(keys.difference(found)), [kept.buckets.counts(rows) for kept in table.rates])
