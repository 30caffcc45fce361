"""Tombstones in the embedded log: erased events are gone from the file, and their ids cannot come back.

Ids of erased events are stored as digests, in a table that a log has from its first erasure on. A digest
does not reveal an id, but somebody who guesses an id can check whether it was here.
"""

import hashlib
import sqlite3
import time
import zlib
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from easq.log.events import Erased, decode, encode

_TABLE = (
    "CREATE TABLE IF NOT EXISTS erased"
    " (topic INTEGER, digest BLOB, place INTEGER, PRIMARY KEY (topic, digest)) WITHOUT ROWID"
)
_TABLE_EXISTS = "SELECT count(*) FROM sqlite_master WHERE name = 'erased'"
_PAUSE_S = 0.02


def row_sum(place: int, data: bytes) -> int:
    """Return the checksum (CRC-32) of an event's bytes at its place."""
    return zlib.crc32(data, place & 0xFFFFFFFF)


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
        db.execute("DELETE FROM ids WHERE topic = ? AND id = ?", (topic, event.event_id))
        db.execute("INSERT OR IGNORE INTO erased VALUES (?, ?, ?)", (topic, _digest(event.event_id), place))


def restamp(db: sqlite3.Connection, ts_by_place: Mapping[int, int]) -> None:
    """Give events at places other times, within a transaction."""
    for place, ts in ts_by_place.items():
        (data,) = db.execute("SELECT data FROM events WHERE place = ?", (place,)).fetchone()
        new = encode(replace(decode(data), ts=ts))
        db.execute("UPDATE events SET data = ?, sum = ? WHERE place = ?", (new, row_sum(place, new), place))


def known_digests(db: sqlite3.Connection, topic: int, ids: Sequence[str]) -> dict[str, int]:
    """Return the place of each id whose event was erased."""
    if not ids or not db.execute(_TABLE_EXISTS).fetchone()[0]:
        return {}
    sql = "SELECT place FROM erased WHERE topic = ? AND digest = ?"
    rows = {i: db.execute(sql, (topic, _digest(i))).fetchone() for i in set(ids)}
    return {event_id: row[0] for event_id, row in rows.items() if row}


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


def _digest(event_id: str) -> bytes:
    return hashlib.blake2b(event_id.encode(), digest_size=16).digest()
