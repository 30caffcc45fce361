from pathlib import Path

import msgspec
import pytest

from easq.errors import InputError
from easq.log.base import EventLog
from easq.log.events import EVENTS, Event, Request
from easq.log.sqlite import SqliteLog
from easq.sources.datasets import load, stream
from easq.sources.datasets.base import ImportSummary, import_events
from easq.sources.datasets.kuairand import load_kuairand
from tests.support.small_datasets import NOON, events_of, kuairand, kuairand_view


def views() -> list[dict[str, object]]:
    used = [kuairand_view(1 + n % 2, 10 + n % 3, NOON + n * 60_000, is_like=n % 2) for n in range(10)]
    return [*used, used[0], kuairand_view(1, 10, "")]


def on_log(log: EventLog) -> list[Event]:
    ends = enumerate(log.end_offsets(EVENTS))
    return [event for partition, end in ends for event in log.read(EVENTS, partition, 0, end)]


def test_an_import_says_what_it_did_and_a_second_one_adds_nothing(tmp_path: Path) -> None:
    loaded = load_kuairand(kuairand(tmp_path / "data", views()))
    log = SqliteLog(tmp_path / "log.db")
    summary = import_events(log, loaded)
    assert summary == ImportSummary(
        rows_read=12,
        written=19,
        requests=4,
        views=10,
        asks=0,
        answers={"satisfied": 5},
        rejected={"duplicate": 1, "missing_time_ms": 1},
        rejected_answers={},
    )
    events = on_log(log)
    assert sorted(e.event_id for e in events) == sorted(e.event_id for e in events_of(loaded))
    again = import_events(log, load_kuairand(tmp_path / "data"))
    assert again == msgspec.structs.replace(summary, written=0)
    assert on_log(log) == events
    log.close()


def test_one_call_imports_by_the_name_of_the_loader(tmp_path: Path) -> None:
    kuairand(tmp_path / "data", views())
    counts = load("kuairand", tmp_path / "data", tmp_path / "a.log")
    rejects = tmp_path / "a.log.rejects.jsonl"
    assert counts == {
        "rows": 12,
        "written": 19,
        "older": 0,
        "changed": 0,
        "requests": 4,
        "views": 10,
        "asks": 0,
        "answers": 5,
        "options": {"satisfied": 5},
        "rejected": {"duplicate": 1, "missing_time_ms": 1},
        "rejected_answers": {},
        "rejected_cells": {},
        "cell_examples": {},
        "order_doubt": [],
        "passed_over": [],
        "rejects": str(rejects),
        "log": str(tmp_path / "a.log"),
    }
    assert len(rejects.read_bytes().splitlines()) == 2


@pytest.mark.parametrize(
    ("loader", "mapping", "message"),
    [
        ("movielens", None, "loader: got 'movielens'; allowed: kuairand, eeg_svrec, table"),
        ("kuairand", Path("m.toml"), "only the loader table reads one, not kuairand"),
        ("table", None, "the loader table needs a TOML file"),
    ],
)
def test_a_wrong_loader_or_mapping_is_explained(
    tmp_path: Path, loader: str, mapping: Path | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load(loader, tmp_path, tmp_path / "a.log", mapping)
    assert not list(tmp_path.iterdir())


def test_progress_is_reported_after_every_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHUNK_EVENTS", 5)
    log = SqliteLog(tmp_path / "log.db")
    progress: list[tuple[int, int]] = []
    loaded = load_kuairand(kuairand(tmp_path / "data", views()))
    import_events(log, loaded, lambda done, whole: progress.append((done, whole)))
    log.close()
    assert len(progress) == sum(1 for _ in loaded) > 1
    assert progress == sorted(progress)
    assert progress[-1] == (10, 10)


def test_blocks_do_not_show_in_the_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_kuairand(kuairand(tmp_path, views()))
    whole = events_of(loaded)
    assert sum(isinstance(event, Request) for event in whole) > 3
    for rows in (1, 3, 4, 9):
        monkeypatch.setattr(stream, "BLOCK_ROWS", rows)
        assert events_of(loaded) == whole
