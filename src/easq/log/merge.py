"""Read a topic's partitions as one sequence in event time.

Reading one partition to its end before the next would show a learner the future of half of the
viewers. The merged order is a function of the log alone: it depends neither on how much was read at a
time nor on where a resumed reader started.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from easq.log.base import EventLog
from easq.log.event_time import EventTime
from easq.log.events import Event

_READ = 2048


class MergedReader:
    """Events of all partitions ordered by (latest time seen in the partition, partition, offset).

    The latest time seen, instead of the event's own, preserves each partition's order where its events
    are out of order, and one wrong clock does not hold up a partition (`EventTime`). `offsets` and `times`
    are the whole state: a reader built from them continues.
    """

    def __init__(
        self,
        log: EventLog,
        topic: str,
        until: Sequence[int],
        offsets: Sequence[int] | None = None,
        times: Sequence[EventTime] | None = None,
    ) -> None:
        self._log, self._topic, self._until = log, topic, list(until)
        self.offsets = list(offsets) if offsets is not None else [0] * len(self._until)
        self.times = [time.copy() for time in times] if times is not None else [EventTime() for _ in until]
        self._read = list(self.offsets)
        self._seen = [time.copy() for time in self.times]
        self._events: list[list[Event]] = [[] for _ in self._until]
        self._keys: list[list[int]] = [[] for _ in self._until]

    def __iter__(self) -> Iterator[list[tuple[int, Event]]]:
        """Yield lists of (partition, event). After each, `offsets` point behind the events yielded."""
        while self._fill():
            chunk = self._take()
            if chunk:
                yield chunk

    def _fill(self) -> bool:
        for partition in range(len(self._until)):
            if not self._events[partition]:
                self._read_more(partition)
        return any(self._events)

    def _read_more(self, partition: int) -> bool:
        limit = min(_READ, self._until[partition] - self._read[partition])
        if limit <= 0:
            return False
        events = self._log.read(self._topic, partition, self._read[partition], limit)
        self._read[partition] += len(events)
        self._events[partition] += events
        self._keys[partition] += map(self._seen[partition].move, [event.ts for event in events])
        return bool(events)

    def _take(self) -> list[tuple[int, Event]]:
        """Return the events that no unread event can precede. On a tie at the bound, read on."""
        unread = [p for p, end in enumerate(self._until) if self._read[p] < end]
        bound = min((self._keys[p][-1] for p in unread), default=None)
        counts = [
            len(keys) if bound is None else int(np.searchsorted(keys, bound, side="left"))
            for keys in self._keys
        ]
        if not any(counts):
            for partition in unread:
                if self._keys[partition][-1] == bound:
                    self._read_more(partition)
            return []
        keys = np.concatenate([keys[:n] for keys, n in zip(self._keys, counts, strict=True)])
        flat = [(p, e) for p, n in enumerate(counts) for e in self._events[p][:n]]
        for partition, n in enumerate(counts):
            if n:
                for event in self._events[partition][:n]:
                    self.times[partition].move(event.ts)
                self.offsets[partition] += n
                del self._events[partition][:n], self._keys[partition][:n]
        return [flat[i] for i in np.argsort(keys, kind="stable")]
