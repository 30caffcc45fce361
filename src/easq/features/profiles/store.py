"""The embedded store of profiles: one SQLite file that holds the whole state as of its offsets.

It is a copy of what the log says and never the only one, so a file that cannot be used is set aside and
the profiles are built from the log again. Each save is one transaction with what changed since the last.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, Self

import msgspec

from easq.features.profiles.buckets import entries
from easq.features.profiles.changes import ITEMS, VIEWERS, ProfilesState, Snapshot, Stored
from easq.features.profiles.profiles import Profiles

_APPLICATION, _LAYOUT = int.from_bytes(b"EAPR", "big"), 2
_LOCKED_S = 10.0
_SLICE = 256
"""Rows between two pauses: about a millisecond of the interpreter, which others in the process want too."""
_SIDES = (VIEWERS, ITEMS)

_KEYS = {
    "told": ("side INTEGER", "key TEXT"),
    "counts": ("side INTEGER", "rate INTEGER", "key TEXT"),
    "histories": ("key TEXT",),
    "requests": ("partition INTEGER", "ts INTEGER", "id TEXT"),
}
"""Tables and their keys; beside its key a row holds `data`."""

_SCHEMA = (
    *(
        f"CREATE TABLE {table} ({', '.join(keys)}, data BLOB NOT NULL,"
        f" PRIMARY KEY ({', '.join(key.split()[0] for key in keys)})) WITHOUT ROWID"
        for table, keys in _KEYS.items()
    ),
    "CREATE TABLE state (saves INTEGER NOT NULL, identity TEXT NOT NULL, data BLOB NOT NULL)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_LAYOUT}",
)

# A save that a power cut undoes is made again from the log, so commits need not wait for the disk.
_TUNING = f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = {64 << 20}"

_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT)

_Row = tuple[tuple[Any, ...], bytes | None]
_Rows = dict[str, dict[tuple[Any, ...], bytes | None]]
"""What is to be written, by table and key; None deletes."""

Pause = Callable[[], object]

_encode = msgspec.msgpack.Encoder().encode
_state = msgspec.msgpack.Decoder(ProfilesState)
_told = msgspec.msgpack.Decoder(dict[str, bytes])
_histories = msgspec.msgpack.Decoder(list[list[str]])
_request = msgspec.msgpack.Decoder(tuple[str, dict[str, int]])


class StoreError(Exception):
    """The profiles could not be saved or loaded; what was saved before stands."""


class _UnusableError(Exception):
    """The file is there and cannot be used."""


class ProfileStore:
    """The profiles of one service in the file at `path`, which only this object writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._db: sqlite3.Connection | None = None
        self._identity, self._saves = "", 0
        self._unwritten: _Rows = {table: {} for table in _KEYS}

    def load(self, profiles: Profiles, ends: Sequence[int]) -> str | None:
        """Bring profiles that were told nothing yet to where the file stands, and track them from there.

        `ends` are the log's end offsets. A file that is damaged, was made for other features, or knows
        more than the log is renamed to `*.unusable`; returns the reason, else None. Raises ValueError when
        the profiles have been told something, and StoreError when the file cannot be opened at all.
        """
        profiles.track()
        self._identity = profiles.identity
        reason = None
        try:
            try:
                self._open(profiles, ends)
            except _UnusableError as error:
                reason = f"{self._path} cannot be used, profiles are built from the log: {error}"
                profiles.clear()
                profiles.track()
                self._set_aside()
                self._open(profiles, ends)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"cannot open {self._path}: {error}; check the path and its permissions"
            ) from error
        return reason

    def snapshot(self, profiles: Profiles) -> Snapshot:
        """Return what changed since the last snapshot; quick, for the thread that applies events."""
        return profiles.take_changes()

    def write(self, snapshot: Snapshot, pause: Pause = lambda: None) -> None:
        """Write a snapshot, in any thread; snapshots are written in the order in which they were taken.

        `pause` is called between slices of rows, so that other threads come to their turn. Raises
        StoreError when it could not be written; the next call writes it too.
        """
        with self._lock:
            for table, rows in _rows(snapshot):
                for some in _slices(rows):
                    self._unwritten[table].update(some)
                    pause()
            try:
                self._commit(snapshot.state, pause)
            except sqlite3.Error as error:
                raise StoreError(
                    f"cannot save profiles in {self._path}: {error}; the log has them"
                ) from error
            self._unwritten = {table: {} for table in _KEYS}

    def save(self, profiles: Profiles) -> None:
        """Write what changed since the last save. Raises StoreError, and the next save makes up for it."""
        self.write(self.snapshot(profiles))

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            if self._db is not None:
                self._db.close()
            self._db = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, profiles: Profiles, ends: Sequence[int]) -> None:
        """Open or make the file and restore what it holds; raise _UnusableError where that cannot be."""
        self.close()
        self._db = db = sqlite3.connect(
            self._path, timeout=_LOCKED_S, isolation_level=None, check_same_thread=False
        )
        try:
            if not _one(db, "SELECT count(*) FROM sqlite_master"):
                db.executescript(_TUNING)
                db.executescript(f"BEGIN IMMEDIATE; {'; '.join(_SCHEMA)}; COMMIT")
            if (_one(db, "PRAGMA application_id"), _one(db, "PRAGMA user_version")) != (
                _APPLICATION,
                _LAYOUT,
            ):
                raise _UnusableError("it is not a store of profiles of this version")
            db.executescript(_TUNING)
            found = db.execute("SELECT saves, identity, data FROM state").fetchone()
            self._saves = found[0] if found else 0
            if found:
                self._restore(db, profiles, found[1], _state.decode(found[2]), ends)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                raise _UnusableError(f"it is damaged: {error}") from error
            raise
        except (msgspec.MsgspecError, ValueError, LookupError) as error:
            raise _UnusableError(f"it is damaged: {error}") from error

    def _restore(
        self,
        db: sqlite3.Connection,
        profiles: Profiles,
        identity: str,
        state: ProfilesState,
        ends: Sequence[int],
    ) -> None:
        if identity != self._identity:
            raise _UnusableError("it was made for other features, behaviors, windows or partitions")
        if any(offset > end for offset, end in zip(state.offsets, ends, strict=True)):
            raise _UnusableError(f"it knows the log up to {state.offsets}, and the log ends at {list(ends)}")
        profiles.restore(
            Stored(
                state,
                [_told_of(db, side) for side in _SIDES],
                [[_counts_of(db, s, rate) for rate in range(len(state.rings[s]))] for s in _SIDES],
                ((key, _histories.decode(data)) for key, data in db.execute("SELECT * FROM histories")),
                (
                    (p, ts, i, *_request.decode(data))
                    for p, ts, i, data in db.execute("SELECT * FROM requests")
                ),
            )
        )

    def _commit(self, state: ProfilesState, pause: Pause) -> None:
        db = self._db
        if db is None:
            raise sqlite3.ProgrammingError("the store is not loaded or was closed")
        try:
            db.execute("BEGIN IMMEDIATE")
            self._check_owner(db)
            for table, rows in self._unwritten.items():
                for some in _slices(rows.items()):
                    _write(db, table, some)
                    pause()
            for partition, (newest, _) in enumerate(state.heard):
                closed = (partition, newest - state.window_ms)
                db.execute("DELETE FROM requests WHERE partition = ? AND ts < ?", closed)
            db.execute("DELETE FROM state")
            db.execute(
                "INSERT INTO state VALUES (?, ?, ?)", (self._saves + 1, self._identity, _encode(state))
            )
            db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                db.execute("ROLLBACK")
            raise
        self._saves += 1

    def _check_owner(self, db: sqlite3.Connection) -> None:
        """Refuse unless the file's last save is this object's, which is what the changes follow on."""
        found = db.execute("SELECT saves FROM state").fetchone()
        if (found[0] if found else 0) != self._saves:
            raise sqlite3.IntegrityError("another process saves profiles in this file; end one of them")

    def _set_aside(self) -> None:
        self.close()
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._path.replace(self._path.with_name(self._path.name + ".unusable"))


def _rows(snapshot: Snapshot) -> Iterator[tuple[str, Iterator[_Row]]]:
    """Yield, table by table, what a snapshot writes into it, row by row in the order of the table's keys.

    In that order each page of the file is visited once.
    """
    for side, told in enumerate(snapshot.told):
        yield "told", (((side, key), _encode(dict(told[key]))) for key in sorted(told))
    for side, counted in enumerate(snapshot.counted):
        order = sorted(range(len(counted.keys)), key=counted.keys.__getitem__)
        keys = [counted.keys[n] for n in order]
        for rate, count_N2B in enumerate(counted.counts):
            packed = entries(count_N2B[order], snapshot.state.rings[side][rate])
            yield "counts", _counts(side, rate, keys, packed)
            yield "counts", (((side, rate, key), None) for key in counted.gone)
    yield "histories", (((key,), _encode(snapshot.histories[key])) for key in sorted(snapshot.histories))
    yield "requests", (((p, ts, key), _encode(open_)) for p, ts, key, *open_ in sorted(snapshot.requests))


def _counts(side: int, rate: int, keys: Sequence[str], packed: Iterable[bytes]) -> Iterator[_Row]:
    return (((side, rate, key), data) for key, data in zip(keys, packed, strict=True))


def _slices(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    rest = iter(rows)
    while some := list(islice(rest, _SLICE)):
        yield some


def _write(db: sqlite3.Connection, table: str, rows: Sequence[_Row]) -> None:
    names = [key.split()[0] for key in _KEYS[table]]
    marks = ", ".join("?" * (len(names) + 1))
    kept = [(*key, data) for key, data in rows if data is not None]
    db.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", kept)
    gone = [key for key, data in rows if data is None]
    db.executemany(f"DELETE FROM {table} WHERE {' AND '.join(f'{n} = ?' for n in names)}", gone)


def _told_of(db: sqlite3.Connection, side: int) -> Iterator[tuple[str, dict[str, bytes]]]:
    for key, data in db.execute("SELECT key, data FROM told WHERE side = ?", (side,)):
        yield key, _told.decode(data)


def _counts_of(db: sqlite3.Connection, side: int, rate: int) -> dict[str, bytes]:
    where = "SELECT key, data FROM counts WHERE side = ? AND rate = ?"
    found: Iterable[tuple[str, bytes]] = db.execute(where, (side, rate))
    return dict(found)


def _one(db: sqlite3.Connection, sql: str) -> Any:
    return db.execute(sql).fetchone()[0]
