"""Publish the learner's changes to rankers: deltas several times a second, full versions at intervals."""

from collections.abc import Sequence
from typing import NamedTuple

from easq.arrays import I64
from easq.learn.learner import Learner
from easq.log.base import EventLog
from easq.log.events import UPDATES, Delta, Event, VersionRecord, delta_checksum
from easq.log.packing import pack_floats, pack_ids

_READ = 256
_TRIM_EVERY, _TRIM_MOST = 8, 32
"""Events of the topic between two checks for old deltas, and how many are removed at once: few, because the
learner and every reader wait for it, but more than arrive, so that they do not pile up."""


class Publisher:
    """Writes to the topic UPDATES.

    last        newest version that rankers can reach through the topic, by a delta or by reloading.
    checksums   by version: those of the deltas since the newest full version, and of older ones that were on
                the topic at the start.
    """

    def __init__(self, updates: EventLog, start: int) -> None:
        self._updates, self._start = updates, start
        self.last = 0
        self.checksums: dict[int, int] = {}
        self._version_offsets: list[int] = []
        self._trim_checked = start - _TRIM_EVERY  # the first delta checks: it may be the last

    @staticmethod
    def open(updates: EventLog) -> "Publisher":
        """Return a publisher that continues from the end of the topic."""
        (start,) = updates.start_offsets(UPDATES)
        publisher, offset = Publisher(updates, start), start
        while events := updates.read(UPDATES, 0, offset, _READ):
            for event in events:
                publisher._read(event, offset)
                offset += 1
        return publisher

    def _read(self, event: Event, offset: int) -> None:
        if isinstance(event, Delta):
            self.checksums[event.seq] = event.checksum
            self.last = event.seq
        elif isinstance(event, VersionRecord):
            self._version_offsets.append(offset)
            self.last = event.seq if event.reload else self.last

    def publish(self, delta: Delta) -> None:
        """Append a delta; it is durable, and may be applied anywhere, when this returns."""
        (position,) = self._updates.append(UPDATES, [delta])
        self.checksums[delta.seq], self.last = delta.checksum, delta.seq
        if position.offset >= self._trim_checked + _TRIM_EVERY:
            self._trim_checked = position.offset
            self._trim()

    def announce(self, seq: int, name: str, ts: int, reload: bool) -> None:
        """Announce a full version; deltas that only lead to the version before it may then be removed."""
        kind = "reload" if reload else "version"
        made = VersionRecord(
            event_id=f"{kind}-{seq}-{ts}", user_id="", ts=ts, seq=seq, name=name, reload=reload
        )
        (position,) = self._updates.append(UPDATES, [made])
        if reload:
            self.last = seq
        self._version_offsets.append(position.offset)
        if len(self._version_offsets) > 2:
            self._version_offsets = self._version_offsets[-2:]
            self.checksums = {s: crc for s, crc in self.checksums.items() if s > seq}

    def _trim(self) -> None:
        """Remove some of the unneeded deltas: those before the last full version but one."""
        unneeded = self._version_offsets[-2] if len(self._version_offsets) > 1 else 0
        until = min(unneeded, self._start + _TRIM_MOST)
        if until > self._start:
            self._updates.trim(UPDATES, [until])
            self._start = until


class Changed(NamedTuple):
    """Distinct rows of the table, and distinct crosses."""

    rows_U: I64
    crosses_U: I64


def make_delta(
    learner: Learner,
    changed: Changed,
    seq: int,
    after: int,
    until: Sequence[int],
    newest_answer: int,
    ts: int,
) -> Delta:
    """Return the change from version `after` to version `seq`."""
    table = learner.table
    rows, values = pack_ids(changed.rows_U), pack_floats(table.weight.numpy()[changed.rows_U])
    crosses = pack_ids(changed.crosses_U)
    cross_values = b""
    if table.crosses is not None:
        cross_values = pack_floats(table.crosses.weight.numpy()[changed.crosses_U])
    dense = {name: pack_floats(value.numpy()) for name, value in learner.dense.state_dict().items()}
    return Delta(
        event_id=f"delta-{seq}",
        user_id="",
        ts=ts,
        seq=seq,
        after=after,
        rows=rows,
        values=values,
        dense=dense,
        until=list(until),
        newest_answer=newest_answer,
        crosses=crosses,
        cross_values=cross_values,
        checksum=delta_checksum(rows, values, dense, crosses, cross_values),
    )
