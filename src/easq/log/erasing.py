"""Tombstones in the embedded log: what is erased is gone from the file, and its id does not come back.

Ids of erased events are kept as digests, in a table that a log has from its first erasure on. A digest
tells nobody an id, though whoever can guess one can see that it was here.
"""

import hashlib
import sqlite3
import time
from collections.abc import Sequence

from easq.log.events import Erased, decode, encode

_TABLE = (
    "CREATE TABLE IF NOT EXISTS erased"
    " (topic INTEGER, digest BLOB, place INTEGER, PRIMARY KEY (topic, digest)) WITHOUT ROWID"
)
_IS_THERE = "SELECT count(*) FROM sqlite_master WHERE name = 'erased'"
_PAUSE_S = 0.02


def put_tombstones(db: sqlite3.Connection, topic: int, places: Sequence[int]) -> None:
    """Replace the events at places of a topic, as far as they are there, within a transaction."""
    db.execute(_TABLE)
    for place in places:
        found = db.execute("SELECT data FROM events WHERE place = ?", (place,)).fetchone()
        event = decode(found[0]) if found else None
        if event is None or isinstance(event, Erased):
            continue
        tombstone = encode(Erased(event_id="", user_id="", ts=event.ts))
        db.execute("UPDATE events SET data = ? WHERE place = ?", (tombstone, place))
        db.execute("DELETE FROM ids WHERE topic = ? AND id = ?", (topic, event.event_id))
        db.execute("INSERT OR IGNORE INTO erased VALUES (?, ?, ?)", (topic, _digest(event.event_id), place))


def known_digests(db: sqlite3.Connection, topic: int, ids: Sequence[str]) -> dict[str, int]:
    """Return the place of every id whose event was erased."""
    if not ids or not db.execute(_IS_THERE).fetchone()[0]:
        return {}
    sql = "SELECT place FROM erased WHERE topic = ? AND digest = ?"
    found = {i: db.execute(sql, (topic, _digest(i))).fetchone() for i in set(ids)}
    return {event_id: row[0] for event_id, row in found.items() if row}


def forget_digests(db: sqlite3.Connection, first: int, end: int) -> None:
    """Forget the ids of erased events in a range of places."""
    if db.execute(_IS_THERE).fetchone()[0]:
        db.execute("DELETE FROM erased WHERE place >= ? AND place < ?", (first, end))


def scrub(db: sqlite3.Connection, wait_s: float) -> bool:
    """Rewrite the file without what was deleted, and empty its WAL; False where a reader held that up."""
    # Splitting pages leaves copies in their unused parts, which only rewriting removes.
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
