"""The embedded log keeps the contract, and what only a file can do wrong."""

import hashlib
import random
import resource
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import pytest

from easq.log.base import LogError, Position
from easq.log.events import Erased
from easq.log.sqlite import SqliteLog
from tests.support.log_conformance import (
    TOPIC,
    LogConformance,
    Opener,
    a_report,
    append_each,
    batch,
    ids,
    receive,
    running,
    stored,
    whole_batches,
)
from tests.support.log_ids import IdsConformance
from tests.support.log_removal import RemovalConformance

NOTE = random.Random(0).randbytes(700)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Yield the path of a log; in the end no file of it may be open."""
    yield tmp_path / "a log?#%.db"
    assert opened(tmp_path) == []


def opened(folder: Path) -> list[str]:
    """Return the files of a folder that this process holds open, where the system tells."""
    held = []
    for link in Path("/proc/self/fd").glob("*"):
        try:
            held.append(str(link.readlink()))
        except FileNotFoundError:  # the one that listed them
            continue
    return [name for name in held if name.startswith(str(folder))]


class TestSqliteLog(LogConformance, IdsConformance, RemovalConformance):
    @pytest.fixture
    def opener(self, path: Path) -> Opener:
        return partial(SqliteLog, path)


def test_partitions_are_those_of_the_file(path: Path) -> None:
    with SqliteLog(path, 7) as log:
        assert log.partitions(TOPIC) == 7
        assert log.end_offsets(TOPIC) == [0] * 7
    with SqliteLog(path) as log:
        assert log.partitions(TOPIC) == 7
    SqliteLog(path, 7).close()
    with pytest.raises(ValueError, match=r"has 7 partitions, 3 were asked for"):
        SqliteLog(path, 3)


def test_a_new_log_has_four_partitions(path: Path) -> None:
    with SqliteLog(path) as log:
        assert log.partitions(TOPIC) == 4


def test_no_partition_is_refused_before_a_file_is_made(path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1 partition, got 0"):
        SqliteLog(path, 0)
    assert not path.exists()


def test_an_empty_file_becomes_a_log(path: Path) -> None:
    path.touch()
    with SqliteLog(path, 2) as log:
        assert log.partitions(TOPIC) == 2


def test_a_closed_log_is_one_file(path: Path) -> None:
    with SqliteLog(path) as log:
        log.append(TOPIC, batch("x:9", 9))
        assert whole_batches(log) == {"x:9"}
    log.close()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    with pytest.raises(LogError, match="closed"):
        log.end_offsets(TOPIC)


def test_processes_may_create_one_log_at_once(path: Path) -> None:
    with ExitStack() as stack:
        work = [[batch(f"{number}:5", 5)] for number in range(3)]
        started = [stack.enter_context(running(append_each, partial(SqliteLog, path), each)) for each in work]
        for _, pipe in started:
            assert receive(pipe) == "ready"
            pipe.send("go")
        for _, pipe in started:
            receive(pipe)
    with SqliteLog(path) as log:
        assert whole_batches(log) == {"0:5", "1:5", "2:5"}


@pytest.mark.parametrize("content", [b"not a log\n" * 1000, b"note"])
def test_a_file_of_another_kind_is_refused_and_kept(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LogError, match=r"cannot open .*not a database"):
        SqliteLog(path)
    assert path.read_bytes() == content


def test_another_database_is_refused_and_kept(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE layout (partitions INTEGER)")
    content = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(LogError, match="not a log of this version"):
            SqliteLog(path, read_only=read_only)
    assert path.read_bytes() == content


def test_a_missing_folder_is_named(path: Path) -> None:
    with pytest.raises(LogError, match=r"cannot open .*missing.*a directory that exists"):
        SqliteLog(path.parent / "missing" / "log.db")


def test_a_read_only_log_reads_waits_and_does_not_write(path: Path) -> None:
    with pytest.raises(LogError, match="cannot open"):
        SqliteLog(path, read_only=True)
    with SqliteLog(path) as log, SqliteLog(path, read_only=True) as reader:
        log.append(TOPIC, batch("x:9", 9))
        assert stored(reader) == stored(log)
        timer = threading.Timer(0.03, log.append, [TOPIC, batch("y:1", 1)])
        timer.start()
        assert reader.wait(TOPIC, reader.end_offsets(TOPIC), 30)
        timer.join()
        with pytest.raises(LogError, match=r"readonly.*open it for writing"):
            reader.append(TOPIC, batch("z:1", 1))
        assert whole_batches(reader) == {"x:9", "y:1"}


def test_impossible_arguments_are_errors(path: Path) -> None:
    with SqliteLog(path, 2) as log:
        for partition in (-1, 2):
            with pytest.raises(ValueError, match=f"between 0 and 1, got {partition}"):
                log.read(TOPIC, partition, 0, 1)
        with pytest.raises(ValueError, match="must not be negative"):
            log.read(TOPIC, 0, -1, 1)
        with pytest.raises(ValueError, match="must not be negative"):
            log.read(TOPIC, 0, 0, -1)
        with pytest.raises(ValueError, match="each of 2 partitions, got 3"):
            log.wait(TOPIC, [0, 0, 0], 0)


def test_an_acknowledged_append_was_flushed(path: Path) -> None:
    with SqliteLog(path) as log:
        assert log._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert log._writer.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL: each commit waits


def test_an_event_that_cannot_be_written_leaves_nothing_behind(path: Path) -> None:
    with SqliteLog(path) as log:
        with pytest.raises(UnicodeEncodeError):
            log.append(TOPIC, [*batch("x:9", 9), a_report("\ud800", "u")])
        with pytest.raises(LogError, match="cannot append to"):
            log.append(TOPIC, [*batch("x:9", 9), a_report(("no", "text"), "u")])  # type: ignore[arg-type]
        assert ids(log) == []
        log.append(TOPIC, batch("x:9", 9))
        assert whole_batches(log) == {"x:9"}


def test_erased_bytes_are_in_no_file_of_the_log(path: Path) -> None:
    """Ids that do not grow split pages everywhere, and leave copies in what pages no longer use."""
    rng = random.Random(1)
    events = [a_report(f"{rng.randbytes(5).hex()}-u{n % 5}", f"viewer-{n % 5}", n) for n in range(4000)]
    with SqliteLog(path) as log, SqliteLog(path, read_only=True) as reader:
        there = [p for start in range(0, 4000, 100) for p in log.append(TOPIC, events[start : start + 100])]
        reader.read(TOPIC, 0, 0, 10)
        log.erase(TOPIC, [p for p, e in zip(there, events, strict=True) if e.user_id == "viewer-3"])
        held = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
        assert b"viewer-3" not in held
        assert b"-u3" not in held
        assert held.count(b"viewer-2") == 800
        parts = [log.read(TOPIC, p, 0, 10**6) for p in range(log.partitions(TOPIC))]
        assert sum(isinstance(e, Erased) for part in parts for e in part) == 800


def test_an_erasure_blocked_by_a_reader_is_an_error(path: Path) -> None:
    with SqliteLog(path, 1, locked_s=0.05) as log, closing(sqlite3.connect(path, isolation_level=None)) as db:
        there = log.append(TOPIC, batch("a:3", 3))
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM events").fetchone()
        with pytest.raises(LogError, match=r"another process reads and keeps old bytes.*erase again"):
            log.erase(TOPIC, there)
        db.execute("COMMIT")
        log.erase(TOPIC, [])
        assert b"a:3/0" not in b"".join(f.read_bytes() for f in path.parent.glob(f"{path.name}*"))


def test_stored_events_may_hold_more_fields_or_be_damaged(path: Path) -> None:
    event = a_report("e", "u", 5)
    later = msgspec.to_builtins(event, builtin_types=[bytes]) | {"v": 3, "mood": {"good": [1, None]}}
    with SqliteLog(path, 1) as log, closing(sqlite3.connect(path, isolation_level=None)) as db:
        log.append(TOPIC, [event])
        db.execute("UPDATE events SET data = ?, sum = NULL", (msgspec.msgpack.encode(later),))
        assert log.read(TOPIC, 0, 0, 9) == [msgspec.structs.replace(event, v=3)]
        db.execute("UPDATE events SET data = ?", (msgspec.msgpack.encode(later)[:-1],))
        with pytest.raises(LogError, match=r"topic 'events', partition 0, offsets 0 to 0 hold"):
            log.read(TOPIC, 0, 0, 9)


def _execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def test_a_log_of_before_checksums_reads_and_is_checked_from_then_on(path: Path) -> None:
    with SqliteLog(path, 1) as log:
        log.append(TOPIC, [a_report("old", "u")])
    _execute(path, "ALTER TABLE events DROP COLUMN sum", "PRAGMA user_version = 1")
    with SqliteLog(path, read_only=True) as log:
        assert [event.event_id for event in log.read(TOPIC, 0, 0, 9)] == ["old"]
        with SqliteLog(path) as writer:
            writer.append(TOPIC, [a_report("new", "u")])
        assert [event.event_id for event in log.read(TOPIC, 0, 0, 9)] == ["old", "new"]
    _execute(path, "UPDATE events SET data = x'80' || data WHERE place & 15 = 1")
    with SqliteLog(path) as log:
        assert len(log.read(TOPIC, 0, 0, 1)) == 1
        with pytest.raises(LogError, match="offset 1 is damaged"):
            log.read(TOPIC, 0, 1, 9)


def test_tombstones_are_checked_too(path: Path) -> None:
    with SqliteLog(path, 1) as log:
        log.erase(TOPIC, log.append(TOPIC, [a_report("e", "u")]))
        assert isinstance(log.read(TOPIC, 0, 0, 9)[0], Erased)
        _execute(path, "UPDATE events SET data = CAST(replace(data, 'erased', 'eraser') AS BLOB)")
        with pytest.raises(LogError, match="offset 0 is damaged"):
            log.read(TOPIC, 0, 0, 9)


def test_a_reader_never_sees_half_an_append(path: Path) -> None:
    with SqliteLog(path) as log, SqliteLog(path, read_only=True) as reader:
        writer = threading.Thread(target=lambda: [log.append(TOPIC, batch(f"{b}:20", 20)) for b in range(30)])
        writer.start()
        sums = set()
        while writer.is_alive():
            sums |= {sum(log.end_offsets(TOPIC)), sum(reader.end_offsets(TOPIC))}
        writer.join()
        assert [ends for ends in sums if ends % 20] == []
        assert sum(log.end_offsets(TOPIC)) == 30 * 20


def test_a_lock_held_too_long_is_an_error_and_no_more(path: Path) -> None:
    with SqliteLog(path, locked_s=0.05) as log, closing(sqlite3.connect(path, isolation_level=None)) as other:
        log.append(TOPIC, batch("a:3", 3))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogError, match=r"cannot append to .*locked.*another process"):
            log.append(TOPIC, batch("b:3", 3))
        assert whole_batches(log) == {"a:3"}
        other.execute("ROLLBACK")
        log.append(TOPIC, batch("b:3", 3))
        assert whole_batches(log) == {"a:3", "b:3"}


def test_a_full_file_is_an_error_and_no_more(path: Path) -> None:
    with SqliteLog(path) as log:
        written = {"0:30"}
        log.append(TOPIC, batch("0:30", 30, NOTE))
        log._writer.execute("PRAGMA max_page_count = 100")
        with pytest.raises(LogError, match=r"full; free disk space, then append again"):
            for number in count(1):
                log.append(TOPIC, batch(f"{number}:30", 30, NOTE))
                written.add(f"{number}:30")
        assert len(written) > 2
        assert whole_batches(log) == written
        log._writer.execute("PRAGMA max_page_count = 100000")
        log.append(TOPIC, batch(f"{number}:30", 30, NOTE))
    with SqliteLog(path) as log:
        assert whole_batches(log) == written | {f"{number}:30"}


def _fill(path: Path, limit: int, pipe: Connection) -> None:
    """Append until no file may grow, then lift the limit, append again and say what happened."""
    written = []
    with SqliteLog(path) as log:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            for number in count():
                name = f"{number}:30"
                log.append(TOPIC, batch(name, 30, NOTE))
                written.append(name)
        except LogError as error:
            pipe.send((written, str(error), whole_batches(log)))
        with pytest.raises(LogError):
            log.append(TOPIC, batch(name, 30, NOTE))
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        log.append(TOPIC, batch(name, 30, NOTE))
        pipe.send((name, whole_batches(log)))


@pytest.mark.parametrize("limit", [150_000, 401_234, 1_000_000])
def test_a_disk_that_takes_no_more_is_an_error_and_no_more(path: Path, limit: int) -> None:
    with running(_fill, path, limit) as (_, pipe):
        written, message, result = receive(pipe)
        assert result == set(written)
        assert len(written) > 1
        assert f"cannot append to {path}: disk I/O error; check the disk" in message
        last, result = receive(pipe)
    with SqliteLog(path) as log:
        assert whole_batches(log) == result == {*written, last}


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _crashed(path: Path, copy: Path, end: int, damage: bytes) -> None:
    """Leave in `copy` what a crash could: the file, and its WAL up to `end` and damaged from there."""
    shutil.copy(path, copy)
    wal = _wal(path).read_bytes()
    torn = bytes(a ^ b for a, b in zip(wal[end:], damage, strict=False))
    _wal(copy).write_bytes(wal[:end] + torn)


@pytest.mark.parametrize("damage", [0, 1, 3000, 10**6], ids=lambda size: f"{size} bytes damaged")
def test_a_torn_write_takes_whole_appends_with_it(path: Path, damage: int) -> None:
    rng = random.Random(damage)
    names, sizes = [f"{number}:{1 + number * 7}" for number in range(8)], []
    with SqliteLog(path) as log:
        for name in names:
            log.append(TOPIC, batch(name, int(name.partition(":")[2]), NOTE))
            sizes.append(_wal(path).stat().st_size)
        assert sizes == sorted(set(sizes))
        cuts = [0, 1, 40, sizes[0] - 1, sizes[0], sizes[3] + 24, sizes[-1] - 1, sizes[-1]]
        for number, cut in enumerate(cuts + [rng.randrange(sizes[-1]) for _ in range(8)]):
            copy = path.with_name(f"{number}.db")
            _crashed(path, copy, cut, b"\xff" * damage)
            with SqliteLog(copy) as torn:
                whole = [name for name, size in zip(names, sizes, strict=True) if size <= cut]
                assert whole_batches(torn) == set(whole)
                for name in names:
                    torn.append(TOPIC, batch(name, int(name.partition(":")[2]), NOTE))
                assert stored(torn) == stored(log)


def test_an_older_log_knows_its_ids_and_those_that_it_erased(path: Path) -> None:
    """Older versions indexed plain ids only, and did not note whose an erased id was."""
    mine, gone, theirs = a_report("mine", "u"), a_report("gone", "u"), a_report("mine", "v")
    with SqliteLog(path, 1) as log, closing(sqlite3.connect(path, isolation_level=None)) as db:
        there = log.append(TOPIC, [mine, gone])
        log.erase(TOPIC, there[1:])
        digest = hashlib.blake2b(b"gone", digest_size=16).digest()
        places = db.execute("SELECT DISTINCT topic, place FROM erased").fetchall()
        db.execute("DELETE FROM erased")
        db.executemany("INSERT INTO erased VALUES (?, ?, ?)", [(t, digest, place) for t, place in places])
        ends = log.end_offsets(TOPIC)
        # Whose it was is not known, so it is neither written again nor acknowledged.
        assert log.append_each(TOPIC, [mine, gone, a_report("gone", "v")]) == [there[0], None, None]
        assert log.end_offsets(TOPIC) == ends
        assert log.append(TOPIC, [theirs])[0].offset == 2
        assert log.append(TOPIC, [theirs, mine]) == [Position(0, 2), there[0]]
