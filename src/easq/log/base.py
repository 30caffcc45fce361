"""The contract of every event log; `tests/support/log_conformance.py` tests each one against it."""

import zlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from easq.log.events import Event


class Position(NamedTuple):
    """The place of an event. Offsets count from 0 without gaps within a partition."""

    partition: int
    offset: int


class LogError(Exception):
    """The log could not do what it was asked to; the failed call wrote nothing."""


class TakenError(LogError):
    """Viewers have other events under the ids of `events`. Nothing was written."""

    def __init__(self, events: Sequence[Event]) -> None:
        first, more = events[0], f" and {len(events) - 1} more" if len(events) > 1 else ""
        super().__init__(f"the log holds another event of {first.user_id!r} as {first.event_id!r}{more}")
        self.events = events


class TrimmedError(LogError):
    """The events asked for were removed by `trim`."""


def partition_of(user_id: str, num_partitions: int) -> int:
    """Return the partition that holds all events of a viewer."""
    return zlib.crc32(user_id.encode()) % num_partitions


class EventLog(Protocol):
    """Events by topic and partition, in the order in which they were appended."""

    def append(self, topic: str, events: Sequence[Event]) -> list[Position]:
        """Write all events or none and return their positions, once the bytes are durable.

        An id belongs to its viewer and its content. If the topic holds an equal event of the viewer under
        the id, its position is returned and nothing is written; `ts` and the weight of an answer do not
        count. The same id of another viewer is another event. Raises TakenError if the viewer has other
        content under it, and LogError, naming the cause, if the events could not be written. A caller that
        is not sure appends the same events again.
        """
        ...

    def append_each(self, topic: str, events: Sequence[Event]) -> list[Position | None]:
        """Do what `append` does, but pass over events whose id is taken; None stands for each of them."""
        ...

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Event]:
        """Return up to `limit` events from `offset` on; empty at the end.

        Raises ValueError for an impossible partition or offset, TrimmedError if events from
        `offset` on were removed, LogError if reading failed.
        """
        ...

    def read_encoded(self, topic: str, partition: int, offset: int, limit: int) -> list[bytes]:
        """Return what `read` returns, each event as MessagePack, for readers that need only a few fields.

        Raises what `read` raises, except for bytes that are not an event.
        """
        ...

    def trim(self, topic: str, before: Sequence[int]) -> None:
        """Remove each partition's events before an offset, with their ids. Offsets do not change.

        Raises ValueError unless there is one offset per partition, LogError if removing failed.
        """
        ...

    def erase(self, topic: str, positions: Sequence[Position]) -> None:
        """Replace events by tombstones (`Erased`). Their bytes are gone when this returns.

        Positions and times stay. An erased id is still known: if its viewer's event is appended again,
        whatever it says, its position is returned and nothing is written. Raises LogError if this failed or
        is not yet complete: then call again with the same positions or none.
        """
        ...

    def start_offsets(self, topic: str) -> list[int]:
        """Return, per partition, the offset of the first remaining event. May raise LogError."""
        ...

    def partitions(self, topic: str) -> int:
        """Return the number of partitions, fixed when the log was created."""
        ...

    def end_offsets(self, topic: str) -> list[int]:
        """Return, per partition, the offset that the next event will get. May raise LogError."""
        ...

    def wait(self, topic: str, offsets: Sequence[int], timeout_s: float) -> bool:
        """Block until a partition has grown past its offset. Returns False if the time ran out first.

        Raises ValueError unless there is one offset per partition, LogError if reading failed.
        """
        ...

    def close(self) -> None:
        """Release files and connections. The log may be opened again."""
        ...
