"""The embedded store of profiles: one SQLite file with the whole state as of its offsets.

It is a copy of what the log says, never the only one. So a file that cannot be used is set aside, and the
profiles are rebuilt from the log. Each save is one transaction with the changes since the last. Every row has
a CRC-32, which is verified when the file is loaded; rows that an older easq wrote have none.
"""

import sqlite3
import zlib
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

_APPLICATION, _LAYOUT = int.from_bytes(b"EAPR", "big"), 3
_WITHOUT_SUMS = 2  # the layout of an older easq
_LOCKED_S = 10.0
_SLICE = 256
"""Rows between two pauses: they hold the interpreter for about a millisecond."""
_SIDES = (VIEWERS, ITEMS)

_KEYS = {
    "told": ("side INTEGER", "key TEXT"),
    "counts": ("side INTEGER", "rate INTEGER", "key TEXT"),
    "histories": ("key TEXT",),
    "requests": ("partition INTEGER", "ts INTEGER", "id TEXT"),
}
"""Tables and their keys. Beside its key a row holds `data` and the checksum `sum`."""

_SCHEMA = (
    *(
        f"CREATE TABLE {table} ({', '.join(keys)}, data BLOB NOT NULL, sum INTEGER,"
        f" PRIMARY KEY ({', '.join(key.split()[0] for key in keys)})) WITHOUT ROWID"
        for table, keys in _KEYS.items()
    ),
    "CREATE TABLE state (saves INTEGER NOT NULL, identity TEXT NOT NULL, data BLOB NOT NULL, sum INTEGER)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_LAYOUT}",
)

_ADD_SUMS = (
    *(f"ALTER TABLE {table} ADD COLUMN sum INTEGER" for table in (*_KEYS, "state")),
    f"PRAGMA user_version = {_LAYOUT}",
)

# The log can make up for a save that a power cut undoes, so commits need not wait for the disk.
_TUNING = f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = {64 << 20}"

_UNREACHED = {
    *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH),
    *(
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_NOMEM,
    ),
}
"""Errors that say nothing about the bytes of the file. Any other means that it is damaged."""

_Row = tuple[tuple[Any, ...], bytes | None]
_Rows = dict[str, dict[tuple[Any, ...], bytes | None]]
"""Rows to write, by table and key. None deletes a row."""

Pause = Callable[[], object]

_encode = msgspec.msgpack.Encoder().encode
_state = msgspec.msgpack.Decoder(ProfilesState)
_values = msgspec.msgpack.Decoder(dict[str, bytes])
_histories = msgspec.msgpack.Decoder(list[list[str]])
_request = msgspec.msgpack.Decoder(tuple[str, dict[str, int]])


class StoreError(Exception):
    """The profiles could not be saved or loaded. Earlier saves are unaffected."""


class _UnusableError(Exception):
    """The file exists but cannot be used."""


class ProfileStore:
    """The profiles of one service in the file at `path`. Only this object may write it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._db: sqlite3.Connection | None = None
        self._identity, self._saves = "", 0
        self._unwritten: _Rows = {table: {} for table in _KEYS}

    def load(self, profiles: Profiles, ends: Sequence[int]) -> str | None:
        """Restore new profiles from the file, and track their changes from there.

        `ends` are the log's end offsets. A file that is damaged, was made for other features, or is ahead of
        the log is renamed to `*.unusable`. Returns the reason, else None. Raises ValueError if events were
        applied to the profiles, and StoreError if the file cannot be opened at all.
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
        """Return what changed since the last snapshot. Fast, for the thread that applies events."""
        return profiles.take_changes()

    def write(self, snapshot: Snapshot, pause: Pause = lambda: None) -> None:
        """Write a snapshot, in any thread. Snapshots must be written in the order in which they were taken.

        `pause` is called between slices of rows, so that other threads get their turn. Raises StoreError if
        the snapshot could not be written. The next call writes it too.
        """
        with self._lock:
            for table, rows in _rows(snapshot):
                for batch in _slices(rows):
                    self._unwritten[table].update(batch)
                    pause()
            try:
                self._commit(snapshot.state, pause)
            except sqlite3.Error as error:
                raise StoreError(
                    f"cannot save profiles in {self._path}: {error}; the log has them"
                ) from error
            self._unwritten = {table: {} for table in _KEYS}

    def save(self, profiles: Profiles) -> None:
        """Write what changed since the last save. Raises StoreError; the next save includes them."""
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
        """Open or make the file and restore its contents. Raises _UnusableError if it cannot be used."""
        self.close()
        self._saves = 0
        self._db = db = sqlite3.connect(
            self._path, timeout=_LOCKED_S, isolation_level=None, check_same_thread=False
        )
        try:
            if not _one(db, "SELECT count(*) FROM sqlite_master"):
                db.executescript(_TUNING)
                db.executescript(f"BEGIN IMMEDIATE; {'; '.join(_SCHEMA)}; COMMIT")
            layout = _one(db, "PRAGMA user_version")
            _check_kind(db, layout)
            db.executescript(_TUNING)
            if layout == _WITHOUT_SUMS:
                db.executescript(f"BEGIN IMMEDIATE; {'; '.join(_ADD_SUMS)}; COMMIT")
            for saves, identity, data in _checked(db, "state", ("saves", "identity")):
                self._saves = saves
                self._restore(db, profiles, identity, _state.decode(data), ends)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNREACHED:
                raise
            raise _UnusableError(f"it is damaged: {error}") from error
        except (_UnusableError, OSError):
            raise
        except Exception as error:  # damaged bytes may decode to anything
            raise _UnusableError(f"it is damaged: {error!r}") from error

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
            raise _UnusableError(f"it is as of offsets {state.offsets}, and the log ends at {list(ends)}")
        profiles.restore(
            Stored(
                state,
                [_read_values(db, side) for side in _SIDES],
                [[_read_counts(db, s, rate) for rate in range(len(state.rings[s]))] for s in _SIDES],
                ((key, _histories.decode(data)) for key, data in _checked(db, "histories", ("key",))),
                (
                    (p, ts, i, *_request.decode(data))
                    for p, ts, i, data in _checked(db, "requests", ("partition", "ts", "id"))
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
                for batch in _slices(rows.items()):
                    _write(db, table, batch)
                    pause()
            for partition, (newest, _) in enumerate(state.progress):
                closed = (partition, newest - state.window_ms)
                db.execute("DELETE FROM requests WHERE partition = ? AND ts < ?", closed)
            db.execute("DELETE FROM state")
            row = _summed((self._saves + 1, self._identity), _encode(state))
            db.execute("INSERT INTO state VALUES (?, ?, ?, ?)", row)
            db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                db.execute("ROLLBACK")
            raise
        self._saves += 1

    def _check_owner(self, db: sqlite3.Connection) -> None:
        """Raise an error unless the file's last save is this object's, on which the changes build."""
        row = db.execute("SELECT saves FROM state").fetchone()
        if (row[0] if row else 0) != self._saves:
            raise sqlite3.IntegrityError("another process saves profiles in this file; end one of them")

    def _set_aside(self) -> None:
        self.close()
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._path.replace(self._path.with_name(self._path.name + ".unusable"))


def _check_kind(db: sqlite3.Connection, layout: int) -> None:
    if _one(db, "PRAGMA application_id") != _APPLICATION or layout not in (_LAYOUT, _WITHOUT_SUMS):
        raise _UnusableError("it is not a store of profiles of this version")


def _rows(snapshot: Snapshot) -> Iterator[tuple[str, Iterator[_Row]]]:
    """Yield, table by table, the rows that a snapshot writes, in the order of the table's keys.

    In that order each page of the file is visited once.
    """
    for side, values in enumerate(snapshot.values):
        yield "told", (((side, key), _encode(dict(values[key]))) for key in sorted(values))
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
    while batch := list(islice(rest, _SLICE)):
        yield batch


def _write(db: sqlite3.Connection, table: str, rows: Sequence[_Row]) -> None:
    names = [key.split()[0] for key in _KEYS[table]]
    marks = ", ".join("?" * (len(names) + 2))
    written = [_summed(key, data) for key, data in rows if data is not None]
    db.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", written)
    deleted = [key for key, data in rows if data is None]
    db.executemany(f"DELETE FROM {table} WHERE {' AND '.join(f'{n} = ?' for n in names)}", deleted)


def _summed(key: tuple[Any, ...], data: bytes) -> tuple[Any, ...]:
    return (*key, data, _sum(key, data))


def _sum(key: tuple[Any, ...], data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(repr(key).encode()))


def _checked(
    db: sqlite3.Connection, table: str, keys: Sequence[str], where: str = "", values: Sequence[int] = ()
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table, each its keys and its data. Raises _UnusableError for a wrong checksum."""
    for *key, data, expected in db.execute(
        f"SELECT {', '.join(keys)}, data, sum FROM {table} {where}", values
    ):
        if expected is not None and _sum(tuple(key), data) != expected:
            raise _UnusableError(f"it is damaged: the checksum of a row of {table} is wrong")
        yield (*key, data)


def _read_values(db: sqlite3.Connection, side: int) -> Iterator[tuple[str, dict[str, bytes]]]:
    for _, key, data in _checked(db, "told", ("side", "key"), "WHERE side = ?", (side,)):
        yield key, _values.decode(data)


def _read_counts(db: sqlite3.Connection, side: int, rate: int) -> dict[str, bytes]:
    keys, where = ("side", "rate", "key"), "WHERE side = ? AND rate = ?"
    return {key: data for _, _, key, data in _checked(db, "counts", keys, where, (side, rate))}


def _one(db: sqlite3.Connection, sql: str) -> Any:
    return db.execute(sql).fetchone()[0]
