"""The embedded log: one SQLite file in WAL mode, shared by the processes of one machine.

An event's place is one integer, `stream << 40 | offset`, with a stream per topic and partition. It is
the row id of the event, so a partition is contiguous in the file and is read as one range. Ids are
indexed as they are and not by digest: ids that grow with time then touch few pages per append.

Every event has a CRC-32 of its bytes and its place, which is verified when it is read. Events that
an older easq wrote have none.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from operator import gt
from pathlib import Path
from threading import RLock
from typing import Any, Self

from easq.log.base import LogError, Position, TakenError, TrimmedError, partition_of
from easq.log.erasing import forget_digests, put_tombstones, restamp, row_sum, scrub
from easq.log.events import Event, decode, encode
from easq.log.known_ids import KnownIds

DEFAULT_PARTITIONS = 4
LOCKED_S = 30.0

_APPLICATION, _LAYOUT = int.from_bytes(b"EASQ", "big"), 2
_WITHOUT_SUMS = 1  # the layout of an older easq
_SHIFT = 40
_LAST_OFFSET = (1 << _SHIFT) - 1
_POLL_S = 0.01

_Row = tuple[Event, int, bytes]  # event, partition, encoding

_SCHEMA = (
    "CREATE TABLE layout (partitions INTEGER NOT NULL)",
    "CREATE TABLE streams (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,"
    " end_offset INTEGER NOT NULL, UNIQUE (topic, partition))",
    "CREATE TABLE events (place INTEGER PRIMARY KEY, data BLOB NOT NULL, sum INTEGER)",
    "CREATE TABLE ids (topic INTEGER, id TEXT, place INTEGER, PRIMARY KEY (topic, id)) WITHOUT ROWID",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_LAYOUT}",
)

# Pages of the index change often, so they are rarely folded into the file, with the WAL bounded. Some builds
# of SQLite overwrite deleted data with zeros by default, so a trim would write as much as it removes.
_TUNING = f"""PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; PRAGMA secure_delete = OFF;
    PRAGMA wal_autocheckpoint = 4096; PRAGMA journal_size_limit = {128 << 20}"""

_NUM_TABLES = "SELECT count(*) FROM sqlite_master"
_STREAMS = "SELECT id, end_offset FROM streams WHERE topic = ? ORDER BY partition"
_STARTS = (
    "SELECT ifnull((SELECT min(place) FROM events WHERE place BETWEEN id << 40 AND (id << 40) + end_offset)"
    " - (id << 40), end_offset) FROM streams WHERE topic = ? ORDER BY partition"
)
_ADD_SUMS = ("ALTER TABLE events ADD COLUMN sum INTEGER", f"PRAGMA user_version = {_LAYOUT}")
_RANGE = (
    "SELECT place, data, {sum} FROM streams CROSS JOIN events"
    " ON place BETWEEN (id << 40) + ?3 AND (id << 40) + ?4 WHERE topic = ?1 AND partition = ?2 ORDER BY place"
)

_ADVICE = {
    sqlite3.SQLITE_FULL: "free disk space, then append again",
    sqlite3.SQLITE_IOERR: "check the disk, its free space and the file size limit, then try again",
    sqlite3.SQLITE_BUSY: "another process holds the log; let it finish or end it, then try again",
    sqlite3.SQLITE_NOTADB: "name the path of a log or of a file that does not exist yet",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a copy",
    sqlite3.SQLITE_CANTOPEN: "check that the path is a file in a directory that exists and is accessible",
    sqlite3.SQLITE_READONLY: "open it for writing, and check the permissions of the file and its directory",
}


class SqliteLog:
    """An event log in one SQLite file, for several processes and threads at once.

    Creates the file if it does not exist, with `partitions` partitions (default 4). An append waits up to
    `locked_s` seconds for those of other processes. A forked process must open its own log. Raises
    ValueError if the file has another number of partitions, and LogError if it cannot be opened or is not
    a log.
    """

    def __init__(
        self,
        path: str | Path,
        partitions: int | None = None,
        *,
        read_only: bool = False,
        locked_s: float = LOCKED_S,
    ) -> None:
        if partitions is not None and partitions < 1:
            raise ValueError(f"a log has at least 1 partition, got {partitions}")
        self._path, self._read_only, self._locked_s = Path(path), read_only, locked_s
        self._write_lock, self._read_lock = RLock(), RLock()
        self._connections: list[sqlite3.Connection] = []
        try:
            with self._as_log_error("open"):
                # Two connections, so that no read waits behind an append for the disk.
                self._writer = self._connect("ro" if read_only else "rwc")
                self._num_partitions = self._prepare(partitions)
                has_sums = _one(self._writer, "PRAGMA user_version") == _LAYOUT
                self._range = _RANGE.format(sum="sum" if has_sums else "NULL")
                self._reader = self._connect("ro")
                self._reader.text_factory = bytes  # only a damaged row holds a text here
        except BaseException:
            self.close()
            raise

    def append(self, topic: str, events: Sequence[Event]) -> list[Position]:
        """Write all events or none and return their positions, once the bytes are durable.

        What the topic holds already keeps its position. Raises TakenError if a viewer has another event under
        one of the ids, and LogError if the events could not be written. The log can be used again afterwards.
        """
        positions = [p for p in self._append(topic, events, is_strict=True) if p is not None]
        assert len(positions) == len(events), "a strict append has a place for each event, or raises"
        return positions

    def append_each(self, topic: str, events: Sequence[Event]) -> list[Position | None]:
        """Do what `append` does, but pass over events whose id is taken; None stands for each of them."""
        return self._append(topic, events, is_strict=False)

    def _append(self, topic: str, events: Sequence[Event], is_strict: bool) -> list[Position | None]:
        if not events:
            return []
        n = self._num_partitions
        rows = [(e, partition_of(e.user_id, n), encode(e)) for e in events]
        with self._write_lock, self._as_log_error("append to"), self._transaction() as db:
            first, ends = _streams(db, topic, n)
            places = _write(db, first, ends, rows)
            taken = [event for event, place in zip(events, places, strict=True) if place is None]
            if taken and is_strict:
                raise TakenError(taken)
        return [p if p is None else Position((p >> _SHIFT) - first, p & _LAST_OFFSET) for p in places]

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Event]:
        """Return up to `limit` events from `offset` on; empty at the end.

        Raises ValueError for an impossible position, and LogError if it could not be read.
        """
        rows = self.read_encoded(topic, partition, offset, limit)
        try:
            return [decode(data) for data in rows]
        except ValueError as error:
            where = f"topic {topic!r}, partition {partition}, offsets {offset} to {offset + len(rows) - 1}"
            raise LogError(f"cannot read {self._path}: {where} hold what is not an event: {error}") from error

    def read_encoded(self, topic: str, partition: int, offset: int, limit: int) -> list[bytes]:
        """Return what `read` returns, each event as MessagePack. Raises what `read` raises.

        Bytes that differ from what was written are a LogError.
        """
        if not 0 <= partition < self._num_partitions:
            raise ValueError(f"partition must lie between 0 and {self._num_partitions - 1}, got {partition}")
        if offset < 0 or limit < 0:
            raise ValueError(f"offset and limit must not be negative, got {offset} and {limit}")
        first, last = min(offset, _LAST_OFFSET), min(offset + limit, _LAST_OFFSET) - 1
        rows = self._fetch(self._range, topic, partition, first, last)
        if len(rows) <= last - first:
            last = min(last, self.end_offsets(topic)[partition] - 1)
            if len(rows) <= last - first:
                # They may have come since.
                rows = self._fetch(self._range, topic, partition, first, last)
                self._check_start(rows, topic, partition, first)
        # Appends leave no gap, so what is not there is lost.
        for own, (place, data, expected) in enumerate(rows, first):
            if place & _LAST_OFFSET != own:
                raise self._damaged(topic, partition, own, "it is missing, or there twice")
            if type(data) is not bytes or (expected is not None and row_sum(place, data) != expected):
                raise self._damaged(topic, partition, own, "its checksum is wrong")
        if len(rows) <= last - first:
            raise self._damaged(topic, partition, first + len(rows), "it is missing")
        return [data for _, data, _ in rows]

    def _check_start(self, rows: list[Any], topic: str, partition: int, first: int) -> None:
        """Raise TrimmedError if the first event asked for was removed, and those before it."""
        if rows and rows[0][0] & _LAST_OFFSET == first:
            return
        start = self.start_offsets(topic)[partition]
        if start > first:
            raise TrimmedError(
                f"cannot read {self._path}: topic {topic!r}, partition {partition} begins at offset {start}, "
                f"{first} was asked for"
            )

    def _damaged(self, topic: str, partition: int, offset: int, how: str) -> LogError:
        return LogError(
            f"cannot read {self._path}: topic {topic!r}, partition {partition}, offset {offset} is damaged: "
            f"{how}; restore the file from a copy"
        )

    def trim(self, topic: str, before: Sequence[int]) -> None:
        """Remove each partition's events before an offset, with their ids. Offsets do not change.

        Raises ValueError unless there is one offset per partition, and LogError if removing failed.
        """
        self._one_per_partition(before)
        with self._write_lock, self._as_log_error("trim"), self._transaction() as db:
            for (stream, end), offset in zip(db.execute(_STREAMS, (topic,)).fetchall(), before, strict=False):
                places = (stream << _SHIFT, (stream << _SHIFT) + min(offset, end))
                db.execute("DELETE FROM events WHERE place >= ? AND place < ?", places)
                db.execute("DELETE FROM ids WHERE place >= ? AND place < ?", places)
                forget_digests(db, *places)

    def erase(self, topic: str, positions: Sequence[Position]) -> None:
        """Replace events by tombstones. No file of the log holds their bytes when this returns.

        The file is rewritten: that needs as much free space again, and appends wait. Raises LogError. The
        events may then be tombstones already while files still hold their bytes.
        """
        with self._write_lock, self._as_log_error("erase from"):
            self._writer.execute("PRAGMA secure_delete = ON")
            with self._transaction() as db:
                first, _ = _streams(db, topic, self._num_partitions)
                put_tombstones(db, first, [(first + p << _SHIFT) + offset for p, offset in positions])
            self._writer.execute("PRAGMA secure_delete = OFF")
            if not scrub(self._writer, self._locked_s):
                raise LogError(
                    f"erased from {self._path}, but another process reads and keeps old bytes in its "
                    "write-ahead log; end that process, then erase again"
                )

    def restamp(self, topic: str, times: Mapping[Position, int]) -> None:
        """Give events other times, in ms; all or none. Raises LogError.

        Only where nobody reads: what was made of the events does not change with them.
        """
        with self._write_lock, self._as_log_error("change"), self._transaction() as db:
            first, _ = _streams(db, topic, self._num_partitions)
            restamp(db, {(first + p << _SHIFT) + offset: ts for (p, offset), ts in times.items()})

    def start_offsets(self, topic: str) -> list[int]:
        """Return, per partition, the offset of the first remaining event."""
        return [start for (start,) in self._fetch(_STARTS, topic)] or [0] * self._num_partitions

    def partitions(self, topic: str) -> int:  # noqa: ARG002 - the same for every topic of a file
        """Return the number of partitions, fixed when the log was created."""
        return self._num_partitions

    def end_offsets(self, topic: str) -> list[int]:
        """Return, per partition, the offset of the next event, all as of one moment. May raise LogError."""
        return [end for _, end in self._fetch(_STREAMS, topic)] or [0] * self._num_partitions

    def wait(self, topic: str, offsets: Sequence[int], timeout_s: float) -> bool:
        """Block until a partition has grown past its offset. Returns False if the time ran out first.

        Raises ValueError unless there is one offset per partition, and LogError if reading failed.
        """
        self._one_per_partition(offsets)
        deadline, seen = time.monotonic() + timeout_s, None
        while True:
            # The version changes with every commit, including this object's own: the reader never commits.
            version = self._fetch("PRAGMA data_version")
            if version != seen and any(map(gt, self.end_offsets(topic), offsets)):
                return True
            seen = version
            if (left_s := deadline - time.monotonic()) <= 0:
                return False
            time.sleep(min(_POLL_S, left_s))

    def _one_per_partition(self, offsets: Sequence[int]) -> None:
        if len(offsets) != self._num_partitions:
            raise ValueError(f"one offset for each of {self._num_partitions} partitions, got {len(offsets)}")

    def close(self) -> None:
        """Release files and connections. The log may be opened again."""
        with self._write_lock, self._read_lock:
            # Close the writer last: only a connection that may write folds the WAL into the file.
            for connection in reversed(self._connections):
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"{self._path.absolute().as_uri()}?mode={mode}"
        db = sqlite3.connect(
            uri, uri=True, timeout=self._locked_s, isolation_level=None, check_same_thread=False
        )
        self._connections.append(db)
        return db

    def _prepare(self, asked: int | None) -> int:
        """Make an empty file a log; check it and return its number of partitions."""
        db = self._writer
        if not self._read_only and not _one(db, _NUM_TABLES):
            with self._transaction():
                if not _one(db, _NUM_TABLES):
                    for statement in _SCHEMA:
                        db.execute(statement)
                    db.execute("INSERT INTO layout VALUES (?)", (asked or DEFAULT_PARTITIONS,))
        layout = _one(db, "PRAGMA user_version")
        if _one(db, "PRAGMA application_id") != _APPLICATION or layout not in (_LAYOUT, _WITHOUT_SUMS):
            raise LogError(f"cannot open {self._path}: it is not a log of this version; name another path")
        if not self._read_only:
            if _one(db, "PRAGMA journal_mode = WAL") != "wal":
                raise LogError(f"cannot open {self._path}: its file system has no WAL; use a local disk")
            db.executescript(_TUNING)
            if layout == _WITHOUT_SUMS:
                self._add_sums()
        stored = int(_one(db, "SELECT partitions FROM layout"))
        if asked not in (None, stored):
            raise ValueError(f"{self._path} has {stored} partitions, {asked} were asked for; leave it out")
        return stored

    def _add_sums(self) -> None:
        """Have events checked from now on; those that are there stay as they are."""
        with self._transaction() as db:
            if _one(db, "PRAGMA user_version") == _WITHOUT_SUMS:
                for statement in _ADD_SUMS:
                    db.execute(statement)

    def _fetch(self, sql: str, *values: object) -> list[Any]:
        with self._read_lock, self._as_log_error("read"):
            return self._reader.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield self._writer
            self._writer.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                self._writer.execute("ROLLBACK")
            raise

    @contextmanager
    def _as_log_error(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            advice = _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "open the log again")
            raise LogError(f"cannot {doing} {self._path}: {error}; {advice}") from error


def _one(db: sqlite3.Connection, sql: str) -> Any:
    return db.execute(sql).fetchone()[0]


def _streams(db: sqlite3.Connection, topic: str, num: int) -> tuple[int, list[int]]:
    """Return the topic's first stream and each stream's next place. A new topic gets its streams."""
    rows = db.execute(_STREAMS, (topic,)).fetchall()
    if not rows:
        first = _one(db, "SELECT ifnull(max(id), 0) + 1 FROM streams")
        rows = [(first + p, 0) for p in range(num)]
        db.executemany("INSERT INTO streams VALUES (?, ?, ?, 0)", [(first + p, topic, p) for p in range(num)])
    return rows[0][0], [(stream << _SHIFT) + end for stream, end in rows]


def _write(db: sqlite3.Connection, topic: int, ends: list[int], rows: list[_Row]) -> list[int | None]:
    """Write the rows that are new to the topic; return the place of every row, None if its id is taken."""
    known = KnownIds(db, topic, [event.event_id for event, _, _ in rows])
    places: list[int | None] = []
    events, ids = [], []
    for event, partition, data in rows:
        name, place, is_taken = event.event_id, None, False
        if name in known.used:
            name, place, is_taken = known.find(event)
        if place is None:
            place = ends[partition]
            ends[partition] += 1
            known.add(name, place, data)
            events.append((place, data, row_sum(place, data)))
            ids.append((topic, name, place))
        places.append(None if is_taken else place)
    # Sorted like the B-trees, so that each page is visited once.
    db.executemany("INSERT INTO events VALUES (?, ?, ?)", sorted(events))
    db.executemany("INSERT INTO ids VALUES (?, ?, ?)", sorted(ids))
    moved = [(end & _LAST_OFFSET, end >> _SHIFT) for end in ends]
    db.executemany("UPDATE streams SET end_offset = ? WHERE id = ?", moved)
    return places
