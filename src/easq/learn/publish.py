"""Tell rankers what the learner has changed: deltas several times a second, full versions at intervals."""

from collections.abc import Sequence

import numpy as np

from easq.arrays import I64
from easq.learn.learner import Learner
from easq.log.base import EventLog
from easq.log.events import UPDATES, Delta, VersionRecord, delta_checksum
from easq.log.packing import pack_floats, pack_ids

_READ = 256
_TRIM_EVERY, _TRIM_MOST = 8, 32
"""Events of the topic between two looks for old ones, and how many of these go at once: few, because learning
and whoever reads wait for it, and more than come, so that none pile up."""


class Publisher:
    """Writes to the topic UPDATES.

    `last` is the newest version that rankers can have from it, through a delta or by reloading; the next
    delta follows upon it. `checksums`, by version, are those of deltas since the newest version
    and of older ones that a new life finds.
    """

    def __init__(self, updates: EventLog) -> None:
        self._updates = updates
        self.last = 0
        self.checksums: dict[int, int] = {}
        self._version_offsets: list[int] = []
        (self._start,) = (offset,) = updates.start_offsets(UPDATES)
        self._looked = offset - _TRIM_EVERY  # the first delta of a life looks: it may be the last as well
        while events := updates.read(UPDATES, 0, offset, _READ):
            for event in events:
                if isinstance(event, Delta):
                    self.checksums[event.seq] = event.checksum
                    self.last = event.seq
                elif isinstance(event, VersionRecord):
                    self._version_offsets.append(offset)
                    self.last = event.seq if event.reload else self.last
                offset += 1

    def publish(self, delta: Delta) -> None:
        """Append a delta; it is durable, and may be applied anywhere, when this returns."""
        (position,) = self._updates.append(UPDATES, [delta])
        self.checksums[delta.seq], self.last = delta.checksum, delta.seq
        if position.offset >= self._looked + _TRIM_EVERY:
            self._looked = position.offset
            self._trim()

    def announce(self, seq: int, name: str, ts: int, reload: bool) -> None:
        """Say that a version is there; from now on deltas go that only lead to the version before it."""
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
        """Remove some of the deltas that nobody needs: those before the last version but one."""
        unneeded = self._version_offsets[-2] if len(self._version_offsets) > 1 else 0
        until = min(unneeded, self._start + _TRIM_MOST)
        if until > self._start:
            self._updates.trim(UPDATES, [until])
            self._start = until


def make_delta(
    learner: Learner, touched_U: I64, seq: int, after: int, until: Sequence[int], newest_answer: int, ts: int
) -> Delta:
    """Return what changed between the versions `after` and `seq`, those rows being touched."""
    rows_U = np.unique(touched_U)
    rows, values = pack_ids(rows_U), pack_floats(learner.table.weight.numpy()[rows_U])
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
        checksum=delta_checksum(rows, values, dense),
    )
