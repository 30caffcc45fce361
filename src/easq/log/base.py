"""The contract that every event log keeps; `tests/log/conformance.py` holds each one to it."""

import zlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from easq.log.events import Event


class Position(NamedTuple):
    """Where an event stands: offsets count from 0 without gaps within a partition."""

    partition: int
    offset: int


class LogError(Exception):
    """The log could not do what was asked; nothing of the failed call was written."""


class TrimmedError(LogError):
    """The events asked for were removed by `trim`."""


def partition_of(user_id: str, num_partitions: int) -> int:
    """Return the partition that holds everything of one viewer."""
    return zlib.crc32(user_id.encode()) % num_partitions


class EventLog(Protocol):
    """Events by topic and partition, in the order in which they were appended."""

    def append(self, topic: str, events: Sequence[Event]) -> list[Position]:
        """Write all events or none and return their positions, once the bytes are durable.

        An `event_id` that the topic holds already is not written again: its first position is
        returned, even if the viewer is another. Raises LogError, naming the cause, when the events
        could not be written; whoever is not sure appends the same ids again.
        """
        ...

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Event]:
        """Return up to `limit` events from `offset` on; empty at the end.

        Raises ValueError for a partition or an offset that cannot be, TrimmedError when events from
        `offset` on were removed, LogError when reading failed.
        """
        ...

    def read_encoded(self, topic: str, partition: int, offset: int, limit: int) -> list[bytes]:
        """Return what `read` returns, each event as its MessagePack, for readers of a few fields of many.

        Raises what `read` raises, except for bytes that are no event.
        """
        ...

    def trim(self, topic: str, before: Sequence[int]) -> None:
        """Remove the events of each partition before an offset, their ids too; offsets stay as they are.

        Raises ValueError unless there is one offset per partition, LogError when removing failed.
        """
        ...

    def erase(self, topic: str, positions: Sequence[Position]) -> None:
        """Put tombstones (`Erased`) in the place of events; their bytes are gone when this returns.

        Positions and times stay. An id that was erased is still known: appended again, its position is
        returned and nothing is written. Raises LogError when it could not be done, or not yet wholly:
        then call again with the same positions or none.
        """
        ...

    def start_offsets(self, topic: str) -> list[int]:
        """Return, per partition, the offset of the first event that was not removed; may raise LogError."""
        ...

    def partitions(self, topic: str) -> int:
        """Return the number of partitions, fixed when the log was created."""
        ...

    def end_offsets(self, topic: str) -> list[int]:
        """Return, per partition, the offset that the next event will get; may raise LogError."""
        ...

    def wait(self, topic: str, offsets: Sequence[int], timeout_s: float) -> bool:
        """Block until a partition reaches past its offset; False when the time ran out first.

        Raises ValueError unless there is one offset per partition, LogError when reading failed.
        """
        ...

    def close(self) -> None:
        """Release files and connections; the log may be opened again."""
        ...
