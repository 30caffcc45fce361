"""An event that is not what was written, or not there, stops whoever reads it, and is named."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from easq.log.base import LogError
from easq.log.sqlite import SqliteLog
from tests.support.log_conformance import TOPIC, a_report


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a log of nine events in one partition."""
    path = tmp_path / "events.log"
    with SqliteLog(path, 1) as log:
        log.append(TOPIC, [a_report(f"e{n}", f"u{n}") for n in range(9)])
    return path


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement)


@pytest.mark.parametrize(
    "damage", ["data = CAST(replace(data, 'u3', 'u4') AS BLOB)", "data = x''", "place = place + 64"]
)
def test_an_event_that_is_not_what_was_written_is_told(path: Path, damage: str) -> None:
    change(path, f"UPDATE events SET {damage} WHERE place & 15 = 3")
    how = "it is missing, or there twice" if damage.startswith("place") else "its checksum is wrong"
    message = f"topic 'events', partition 0, offset 3 is damaged: {how}"
    with SqliteLog(path) as log:
        assert len(log.read(TOPIC, 0, 0, 3)) == 3
        for read in (log.read, log.read_encoded):
            with pytest.raises(LogError, match=message):
                read(TOPIC, 0, 0, 99)


@pytest.mark.parametrize("which", ["= 3", "= 0", "= 8", "> 5", ">= 0", "= 3 OR place & 15 = 7"])
def test_an_event_that_is_gone_is_told(path: Path, which: str) -> None:
    """One bit of a page's head takes events out, and none of what is left differs."""
    change(path, f"DELETE FROM events WHERE place & 15 {which}")
    with SqliteLog(path) as log, pytest.raises(LogError, match=r"is damaged|begins at offset"):
        log.read(TOPIC, 0, 0, 99)
    with SqliteLog(path) as log, pytest.raises(LogError, match=r"is damaged|begins at offset"):
        for offset in range(9):
            assert len(log.read(TOPIC, 0, offset, 1)) == 1
