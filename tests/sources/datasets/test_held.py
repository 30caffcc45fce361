"""Exports that grow, overlap or come in the wrong order, into one log."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from easq.errors import InputError
from easq.log.events import EVENTS, Answered, Behavior, Event, Request
from easq.log.merge import MergedReader
from easq.log.sqlite import SqliteLog
from easq.sources.datasets import load
from easq.sources.datasets.held import held_by
from tests.sources.datasets.test_table import ANSWER, COLUMNS, mapping, view
from tests.support.small_datasets import MINUTE, NOON, write_csv

DAY = 1440 * MINUTE
ROWS = [
    view(f"u{n % 3}", f"v{n}", NOON + n * MINUTE, liked=n % 2, survey=4 if n % 4 == 0 else "")
    for n in range(60)
]


def add(folder: Path, rows: list[dict[str, Any]], columns: str = "") -> dict[str, Any]:
    declared = mapping(folder / "m", columns, ANSWER)
    return load("table", write_csv(folder / "v.csv", COLUMNS, rows), folder / "a.log", declared)


def on_log(folder: Path) -> list[Event]:
    with SqliteLog(folder / "a.log", read_only=True) as log:
        ends = enumerate(log.end_offsets(EVENTS))
        return [event for partition, end in ends for event in log.read(EVENTS, partition, 0, end)]


def check_whole(folder: Path, rows: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    """Every view and answer stands on the log once, in a request with its item; the counts are those."""
    events = on_log(folder)
    requests = {e.event_id: e for e in events if isinstance(e, Request)}
    views = Counter((e.user_id, *e.items, e.ts) for e in events if isinstance(e, Behavior))
    answers = [e for e in events if isinstance(e, Answered)]
    assert views == Counter((r["viewer"], r["video"], r["seen_at"]) for r in rows)
    assert len(answers) == sum(row["survey"] != "" for row in rows)
    for event in events:
        if isinstance(event, Behavior | Answered):
            items = event.items if isinstance(event, Behavior) else [event.item_id]
            assert items[0] in requests[event.request_id].items
            assert event.user_id == requests[event.request_id].user_id
    if summary["views"] == len(rows):
        assert (summary["requests"], summary["answers"]) == (len(requests), len(answers))


def test_views_that_another_export_tells_otherwise_are_counted_and_those_of_the_log_stay(
    tmp_path: Path,
) -> None:
    assert add(tmp_path, ROWS)["changed"] == 0
    before = on_log(tmp_path)
    other = [dict(row, liked=1 - row["liked"]) if n in (3, 8) else row for n, row in enumerate(ROWS)]
    summary = add(tmp_path, other)
    assert (summary["changed"], summary["written"]) == (2, 0)
    assert on_log(tmp_path) == before


@pytest.mark.parametrize("at", [1, 7, 31, 59])
def test_an_export_that_grows_adds_what_is_new(tmp_path: Path, at: int) -> None:
    add(tmp_path, ROWS[:at])
    num = len(on_log(tmp_path))
    summary = add(tmp_path, ROWS)
    assert (summary["views"], summary["written"]) == (60, len(on_log(tmp_path)) - num)
    check_whole(tmp_path, ROWS, summary)
    assert add(tmp_path, ROWS)["written"] == 0
    check_whole(tmp_path, ROWS, add(tmp_path, ROWS))


@pytest.mark.parametrize("columns", ["", 'request = "feed"'])
def test_three_exports_of_which_each_overlaps_the_last(tmp_path: Path, columns: str) -> None:
    rows = [dict(row, feed=f"f{n // 9}.0") for n, row in enumerate(ROWS)]
    for first, end in ((0, 25), (13, 44), (5, 60)):
        assert add(tmp_path, rows[first:end], columns)["views"] == end - first
    check_whole(tmp_path, rows, add(tmp_path, rows, columns))


def test_exports_that_overlap_add_what_is_new(tmp_path: Path) -> None:
    add(tmp_path, ROWS[:40])
    summary = add(tmp_path, ROWS[25:])
    assert (summary["rows"], summary["views"]) == (35, 35)
    check_whole(tmp_path, ROWS, summary)


def test_an_answer_that_came_later_is_added_to_its_view(tmp_path: Path) -> None:
    first = [dict(row, survey="") for row in ROWS[:30]]
    add(tmp_path, first)
    check_whole(tmp_path, ROWS, add(tmp_path, ROWS))


def test_an_interrupted_import_goes_on_with_its_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    add(whole, ROWS)
    append, calls = SqliteLog.append_each, []

    def stop(self: SqliteLog, topic: str, events: list[Event]) -> Any:
        calls.append(1)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return append(self, topic, events)

    monkeypatch.setattr("easq.sources.datasets.stream.CHUNK_EVENTS", 5)
    monkeypatch.setattr(SqliteLog, "append_each", stop)
    with pytest.raises(KeyboardInterrupt):
        add(tmp_path, ROWS)
    monkeypatch.undo()
    add(tmp_path, ROWS)
    assert on_log(tmp_path) == on_log(whole)


def test_an_older_file_after_a_newer_one_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    add(tmp_path, [dict(row, seen_at=row["seen_at"] + 30 * DAY) for row in ROWS])
    events = on_log(tmp_path)
    with pytest.raises(InputError, match=r"all 60 new rows lie before .* \(up to 2022-05-25"):
        add(tmp_path, ROWS)
    assert on_log(tmp_path) == events


def test_rows_that_are_older_than_the_log_are_counted(tmp_path: Path) -> None:
    add(tmp_path, ROWS[20:40])
    assert add(tmp_path, ROWS[:20] + ROWS[40:])["older"] == 20
    assert add(tmp_path, ROWS)["older"] == 0


@pytest.mark.parametrize("wrong", [2, 40])
def test_a_wrong_time_far_ahead_makes_later_files_older_only_if_a_replay_believes_it(
    tmp_path: Path, wrong: int
) -> None:
    rows = [dict(row, viewer="solo") for row in ROWS]
    ahead = [dict(row, seen_at=row["seen_at"] + 90 * DAY) for row in rows[:wrong]]
    add(tmp_path, rows[:40] + ahead)
    if wrong == 2:
        assert add(tmp_path, rows[40:])["older"] == 0
        assert add(tmp_path, [dict(row, seen_at=row["seen_at"] + 30 * DAY) for row in rows])["older"] == 0
    else:
        with pytest.raises(InputError, match="all 20 new rows lie before"):
            add(tmp_path, rows[40:])
    with SqliteLog(tmp_path / "a.log", read_only=True) as log:
        reader = MergedReader(log, EVENTS, log.end_offsets(EVENTS))
        for _ in reader:
            pass
        assert held_by(log, "shop").newest == [time.newest for time in reader.times]


def test_a_row_of_the_future_makes_no_other_row_late(tmp_path: Path) -> None:
    summary = add(tmp_path, [*ROWS[:30], dict(ROWS[3], seen_at=NOON + 3000 * DAY)])
    assert summary["rejected"] == {"in_the_future_seen_at": 1}
    assert add(tmp_path, ROWS[30:])["older"] == 0


@pytest.mark.parametrize(("unit", "scale"), [("ms", 1000), ("us", 1000), ("us", 1)])
def test_times_in_a_larger_unit_than_declared_are_refused(tmp_path: Path, unit: str, scale: int) -> None:
    rows = [dict(row, seen_at=row["seen_at"] // scale) for row in ROWS]
    with pytest.raises(InputError, match=r"before_1980_seen_at 60.*time_unit"):
        add(tmp_path, rows, f'time_unit = "{unit}"')


@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 1000), ("s", 1000)])
def test_times_in_a_smaller_unit_than_declared_are_refused(tmp_path: Path, unit: str, scale: int) -> None:
    rows = [dict(row, seen_at=row["seen_at"] * scale) for row in ROWS]
    with pytest.raises(InputError, match=r"in_the_future_seen_at 60.*time_unit"):
        add(tmp_path, rows, f'time_unit = "{unit}"')


def test_no_other_form_of_an_id_is_another_viewer_or_item(tmp_path: Path) -> None:
    rows = [dict(row, viewer=1000 + n % 3, video=n % 7) for n, row in enumerate(ROWS)]
    add(tmp_path, rows[:30])
    add(tmp_path, [dict(row, viewer=f"{row['viewer']}.0", video=f" {row['video']}.00") for row in rows[20:]])
    requests = [event for event in on_log(tmp_path) if isinstance(event, Request)]
    assert {r.user_id for r in requests} == {"1000", "1001", "1002"}
    assert {item for r in requests for item in r.items} == set("0123456")
    assert sum(isinstance(event, Behavior) for event in on_log(tmp_path)) == 60
