"""Unneeded deltas are removed, a few at a time."""

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from easq.learn.publish import Publisher
from easq.log.events import UPDATES, Delta, delta_checksum
from easq.log.sqlite import SqliteLog


@pytest.fixture
def updates(tmp_path: Path) -> Iterator[SqliteLog]:
    with closing(SqliteLog(tmp_path / "updates.log", partitions=1)) as log:
        yield log


def delta(seq: int, size: int = 10) -> Delta:
    rows, values, dense = bytes(size), bytes(size), {"bias": bytes(size)}
    return Delta(
        event_id=f"delta-{seq}",
        user_id="",
        ts=seq,
        seq=seq,
        after=seq - 1,
        rows=rows,
        values=values,
        dense=dense,
        until=[seq],
        newest_answer=0,
        checksum=delta_checksum(rows, values, dense),
    )


def publish(publisher: Publisher, num: int, size: int = 10) -> None:
    for seq in range(publisher.last + 1, publisher.last + num + 1):
        publisher.publish(delta(seq, size))


def test_deltas_before_the_last_version_but_one_go_a_few_at_a_time(updates: SqliteLog) -> None:
    publisher, starts = Publisher.open(updates), []
    for version in range(6):
        for _ in range(100):
            publish(publisher, 1)
            starts += updates.start_offsets(UPDATES)
        publisher.announce(publisher.last, f"v{version}", ts=version, reload=False)
    steps = {after - before for before, after in pairwise(starts)}
    assert max(steps) == 32
    # All that lead to the fourth version are gone; its own notice, and what followed, are there.
    assert starts[-1] == 4 * 101 - 1
    assert starts == sorted(starts)


def test_a_restart_continues_where_the_last_process_stopped(updates: SqliteLog) -> None:
    publisher = Publisher.open(updates)
    for version in range(3):
        publish(publisher, 100)
        publisher.announce(publisher.last, f"v{version}", ts=version, reload=False)
    assert updates.start_offsets(UPDATES) == [100]
    again = Publisher.open(updates)
    assert (again.last, set(again.checksums)) == (300, set(range(101, 301)))
    publish(again, 80)
    assert updates.start_offsets(UPDATES) == [2 * 101 - 1]


@pytest.mark.parametrize("per_version", [1, 3, 7, 15])
def test_old_deltas_go_however_seldom_deltas_come(updates: SqliteLog, per_version: int) -> None:
    publisher = Publisher.open(updates)
    publisher.announce(0, "v0", ts=0, reload=True)
    for version in range(1, 200 // per_version):
        publish(publisher, per_version)
        publisher.announce(publisher.last, f"v{version}", ts=version, reload=False)
    (start,), (end,) = updates.start_offsets(UPDATES), updates.end_offsets(UPDATES)
    assert end - start < 3 * (per_version + 1) + 8


def test_lives_of_a_few_deltas_trim_too(updates: SqliteLog) -> None:
    for version in range(30):
        publisher = Publisher.open(updates)
        publish(publisher, 3)
        publisher.announce(publisher.last, f"v{version}", ts=version, reload=False)
    assert updates.end_offsets(UPDATES)[0] - updates.start_offsets(UPDATES)[0] < 16


def test_trimming_does_not_rewrite_what_it_removes(tmp_path: Path, updates: SqliteLog) -> None:
    publisher = Publisher.open(updates)
    publish(publisher, 64, size=100_000)
    updates._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    updates.trim(UPDATES, [60])
    assert (tmp_path / "updates.log-wal").stat().st_size < 1 << 20
