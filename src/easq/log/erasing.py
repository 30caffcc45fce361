"""Tombstones in the embedded log: erased events are gone from the file, and their ids cannot come back.

Ids of erased events are stored as digests, in a table that a log has from its first erasure on. A digest
does not reveal an id, but somebody who guesses a viewer and an id can check whether it was here. What an
erased event said is not known, so nothing that its viewer sends under this id is written.
"""

import hashlib
import sqlite3
import time
import zlib
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from easq.log.events import Erased, Event, decode, encode

_TABLE = (
    "CREATE TABLE IF NOT EXISTS erased"
    " (topic INTEGER, digest BLOB, place INTEGER, PRIMARY KEY (topic, digest)) WITHOUT ROWID"
)
_TABLE_EXISTS = "SELECT count(*) FROM sqlite_master WHERE name = 'erased'"
_PAUSE_S = 0.02


def row_sum(place: int, data: bytes) -> int:
    """Return the checksum (CRC-32) of an event's bytes at its place."""
    return zlib.crc32(data, place & 0xFFFFFFFF)


class ErasedIds:
    """Those of some ids, which the index does not hold, whose first event was erased: `ids`."""

    def __init__(self, db: sqlite3.Connection, topic: int, ids: Sequence[str]) -> None:
        self._db, self._topic = db, topic
        self._has_table = bool(db.execute(_TABLE_EXISTS).fetchone()[0])
        looked_up = ids if self._has_table else []
        # An older version did not note whose the id was.
        self._of_old = {i: place for i in looked_up if (place := self._at(_digest(i))) is not None}
        self.ids = {*self._of_old, *(i for i in looked_up if self._at(_freed(i)) is not None)}

    def find(self, event: Event) -> tuple[int | None, bool]:
        """Return the place of the erased event that had the id of `event`, None if there is none.

        The second value is whether it was certainly one of the same viewer.
        """
        place = self._at(_owned(event)) if self._has_table else None
        return (place, True) if place is not None else (self._of_old.get(event.event_id), False)

    def _at(self, digest: bytes) -> int | None:
        sql = "SELECT place FROM erased WHERE topic = ? AND digest = ?"
        row = self._db.execute(sql, (self._topic, digest)).fetchone()
        return row[0] if row else None


def put_tombstones(db: sqlite3.Connection, topic: int, places: Sequence[int]) -> None:
    """Replace the existing events at places of a topic by tombstones, within a transaction."""
    db.execute(_TABLE)
    for place in places:
        row = db.execute("SELECT data FROM events WHERE place = ?", (place,)).fetchone()
        event = decode(row[0]) if row else None
        if event is None or isinstance(event, Erased):
            continue
        tombstone = encode(Erased(event_id="", user_id="", ts=event.ts))
        row = (tombstone, row_sum(place, tombstone), place)
        db.execute("UPDATE events SET data = ?, sum = ? WHERE place = ?", row)
        digests = [_owned(event)]
        for name in (event.event_id, own_name(event.event_id, event.user_id)):
            values = (topic, name, place)
            is_gone = db.execute("DELETE FROM ids WHERE topic = ? AND id = ? AND place = ?", values).rowcount
            digests += [_freed(name)] if is_gone and name == event.event_id else []
        rows = [(topic, digest, place) for digest in digests]
        db.executemany("INSERT OR IGNORE INTO erased VALUES (?, ?, ?)", rows)


def restamp(db: sqlite3.Connection, ts_by_place: Mapping[int, int]) -> None:
    """Give events at places other times, within a transaction."""
    for place, ts in ts_by_place.items():
        (data,) = db.execute("SELECT data FROM events WHERE place = ?", (place,)).fetchone()
        new = encode(replace(decode(data), ts=ts))
        db.execute("UPDATE events SET data = ?, sum = ? WHERE place = ?", (new, row_sum(place, new), place))


def own_name(event_id: str, user_id: str) -> str:
    """Return the index's name of an id whose plain form is another viewer's."""
    return f"{event_id}\x1f{user_id}"


def forget_digests(db: sqlite3.Connection, first: int, end: int) -> None:
    """Forget the ids of erased events in a range of places."""
    if db.execute(_TABLE_EXISTS).fetchone()[0]:
        db.execute("DELETE FROM erased WHERE place >= ? AND place < ?", (first, end))


def scrub(db: sqlite3.Connection, wait_s: float) -> bool:
    """Rewrite the file without deleted data, and empty its WAL. Returns False if a reader prevented that."""
    # Page splits leave copies in unused parts of pages, which only a rewrite removes.
    db.execute("VACUUM")
    deadline = time.monotonic() + wait_s
    while True:
        is_busy, left, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not is_busy and left <= 0:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_S)


def _owned(event: Event) -> bytes:
    """Return the digest of an id and its viewer."""
    return _digest(f"own\x1f{own_name(event.event_id, event.user_id)}")


def _freed(event_id: str) -> bytes:
    """Return the digest that says that the index lost the plain form of an id."""
    return _digest(f"freed\x1f{event_id}")


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
