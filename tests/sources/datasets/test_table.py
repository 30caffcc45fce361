from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from easq.errors import InputError
from easq.features.columns import LONGEST, UNKNOWN
from easq.log.events import Answered
from easq.log.ids import stable_id
from easq.log.packing import unpack_counts
from easq.recipe.features import History, Multi, Numeric
from easq.recipe.read import read_recipe
from easq.sources.datasets.base import EventSource
from easq.sources.datasets.table import load_table
from tests.support.paths import RECIPES
from tests.support.small_datasets import NOON, events_of, floats_in, ids_in, requests_of, short, write_csv

COLUMNS = ["viewer", "video", "seen_at", "country", "tags", "seconds", "liked", "survey", "p_asked", "feed"]

MAPPING = """
name = "shop"
[columns]
user = "viewer"
item = "video"
time = "seen_at"
{columns}
[[features]]
name = "item"
column = "video"
side = "candidate"
kind = "categorical"
[[features]]
name = "tags"
column = "tags"
side = "candidate"
kind = "multi"
separator = "|"
[[features]]
name = "seconds"
column = "seconds"
side = "candidate"
kind = "numeric"
[[features]]
name = "country"
column = "country"
side = "viewer"
kind = "categorical"
[[behaviors]]
name = "like"
column = "liked"
[[histories]]
name = "recent"
of = "item"
length = 3
[[histories]]
name = "liked"
of = "item"
length = 3
where = "like"
{answer}
"""

LENGTHS = (2, LONGEST, LONGEST + 1)

ANSWER = """
[answer]
column = "survey"
options = { "4" = "satisfied", "1" = "dissatisfied" }
ignored = ["dismissed"]
"""


def view(user: Any, item: Any, ts: Any, **other: Any) -> dict[str, Any]:
    return {
        "viewer": user,
        "video": item,
        "seen_at": ts,
        "country": "nl",
        "tags": "a|b",
        "seconds": 9.5,
        **other,
    }


def mapping(folder: Path, columns: str = "", answer: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "mapping.toml"
    file.write_text(MAPPING.format(columns=columns, answer=answer))
    return file


def load(folder: Path, rows: list[dict[str, Any]], columns: str = "", answer: str = "") -> EventSource:
    return load_table(write_csv(folder / "views.csv", COLUMNS, rows), mapping(folder, columns, answer))


def test_a_table_becomes_events_as_its_mapping_says(tmp_path: Path) -> None:
    rows = [
        view("bo", "y", NOON + 7200_000, tags="", seconds="", country=""),
        view("ann", "x", NOON, liked="true", survey="4.0"),
        view("ann", "y", NOON + 1000, tags=" b | 7 ", survey="dismissed"),
        view("ann", "z", NOON + 7200_000, survey=1),
    ]
    loaded = load(tmp_path, rows, answer=ANSWER)
    assert [short(event) for event in events_of(loaded)] == [
        ("request", "ann", NOON, ["x", "y"]),
        ("behavior", "ann", NOON, ["x"], {"like": 1.0}),
        ("answered", "ann", NOON, "x", "satisfied", 1.0),
        ("behavior", "ann", NOON + 1000, ["y"], {}),
        ("request", "ann", NOON + 7200_000, ["z"]),
        ("request", "bo", NOON + 7200_000, ["y"]),
        ("behavior", "ann", NOON + 7200_000, ["z"], {}),
        ("answered", "ann", NOON + 7200_000, "z", "dissatisfied", 1.0),
        ("behavior", "bo", NOON + 7200_000, ["y"], {}),
    ]
    first, later, other = requests_of(loaded)
    assert ids_in(first, "item") == [stable_id("x"), stable_id("y")]
    assert ids_in(first, "tags") == [stable_id("a"), stable_id("b"), stable_id("b"), 7]
    assert unpack_counts(first.lengths["tags"]).tolist() == [2, 2]
    assert floats_in(first, "seconds") == [9.5, 9.5]
    assert ids_in(first, "country") == [stable_id("nl")]
    assert ids_in(first, "recent") == []
    assert ids_in(later, "recent") == [stable_id("x"), stable_id("y")]
    assert ids_in(later, "liked") == [stable_id("x")]
    assert (ids_in(other, "tags"), ids_in(other, "country"), floats_in(other, "seconds")) == (
        [],
        [UNKNOWN],
        [None],
    )
    assert loaded.rejects.rows == loaded.rejects.answers == {}


def test_bad_rows_are_rejected_with_reasons(tmp_path: Path) -> None:
    rows = [
        view("ann", "x", NOON),
        view("ann", "x", NOON),
        view(" ", "x", NOON),
        view("ann", "", NOON),
        view("ann", "x", "late"),
        view("ann", "x", NOON, liked="maybe"),
        view("ann", "x", NOON + 1, survey="6"),
    ]
    loaded = load(tmp_path, rows, answer=ANSWER)
    assert loaded.rejects.rows == {
        "duplicate": 1,
        "missing_viewer": 1,
        "missing_video": 1,
        "bad_seen_at": 1,
        "bad_liked": 1,
    }
    assert loaded.rejects.answers == {"unknown_survey": 1}
    assert (loaded.rejects.read, loaded.rejects.used) == (7, 2)


def test_a_number_that_cannot_be_used_is_unknown_and_its_view_and_answer_stay(tmp_path: Path) -> None:
    cells = ["long", "1e39", "-1e39", 3e38, "", "long", "y" * 100]
    rows = [view("ann", f"v{n}", NOON + n, seconds=cell, survey=4) for n, cell in enumerate(cells)]
    loaded = load(tmp_path, rows, answer=ANSWER)
    assert (loaded.rejects.rows, loaded.rejects.used) == ({}, len(cells))
    assert loaded.rejects.cells == {"bad_seconds": 3, "out_of_range_seconds": 2}
    assert loaded.rejects.examples == {
        "bad_seconds": ["long", "y" * 57 + "..."],
        "out_of_range_seconds": ["1e39", "-1e39"],
    }
    (request,) = requests_of(loaded)
    assert floats_in(request, "seconds") == [None, None, None, pytest.approx(3e38), None, None, None]
    assert sum(isinstance(event, Answered) for event in events_of(loaded)) == len(cells)


def test_of_rows_that_repeat_the_one_whose_cell_can_be_used_stays(tmp_path: Path) -> None:
    rows = [view("ann", "x", NOON, seconds=cell) for cell in ("?", 4, "?")]
    loaded = load(tmp_path, rows)
    assert (loaded.rejects.rows, loaded.rejects.cells) == ({"duplicate": 2}, {})
    assert floats_in(requests_of(loaded)[0], "seconds") == [4.0]


def test_more_values_than_a_list_may_hold_are_unknown(tmp_path: Path) -> None:
    rows = [view("ann", f"v{n}", NOON + n, tags="|".join("t" * length)) for n, length in enumerate(LENGTHS)]
    loaded = load(tmp_path, rows)
    assert (loaded.rejects.rows, loaded.rejects.cells) == ({}, {"too_long_tags": 1})
    (request,) = requests_of(loaded)
    assert unpack_counts(request.lengths["tags"]).tolist() == [2, LONGEST, 0]


def test_a_propensity_column_gives_the_asks(tmp_path: Path) -> None:
    rows = [
        view("ann", "a", NOON, p_asked=0.25, survey=4),
        view("ann", "b", NOON + 1, p_asked=0.5),
        view("ann", "c", NOON + 2),
        view("ann", "d", NOON + 3, survey=4),
        view("ann", "e", NOON + 4, p_asked=0, survey=4),
        view("ann", "f", NOON + 5, p_asked=1.5),
    ]
    loaded = load(tmp_path, rows, answer=ANSWER + 'propensity = "p_asked"')
    assert [short(event) for event in events_of(loaded) if short(event)[0] in ("asked", "answered")] == [
        ("asked", "ann", NOON, "a", 0.25),
        ("answered", "ann", NOON, "a", "satisfied", 0.25),
        ("asked", "ann", NOON + 1, "b", 0.5),
    ]
    assert loaded.rejects.answers == {"missing_p_asked": 1, "bad_p_asked": 2}


def test_a_request_column_bounds_requests_and_histories_stay_in_the_past(tmp_path: Path) -> None:
    rows = [
        view("ann", "x", NOON, feed="f1"),
        view("ann", "y", NOON + 9000_000, feed="f1"),
        view("ann", "x", NOON + 60_000, feed="f2"),
        view("ann", "z", NOON + 9000_000, feed="f3"),
        view("ann", "z", NOON, feed=""),
    ]
    loaded = load(tmp_path, rows, columns='request = "feed"')
    requests = requests_of(loaded)
    assert [r.items for r in requests] == [["x", "y"], ["x"], ["z"]]
    assert [ids_in(r, "recent") for r in requests] == [[], [stable_id("x")], [stable_id("x")] * 2]
    assert loaded.rejects.rows == {"missing_feed": 1}


@pytest.mark.parametrize(
    ("unit", "time"),
    [
        ("s", NOON / 1000),
        ("ms", NOON),
        ("ms", f"{NOON}.0"),
        ("us", NOON * 1000 + 999),
        ("iso", "2022-04-25T04:00:00Z"),
        ("iso", "2022-04-25 04:00:00"),
        ("iso", "2022-04-25T12:00:00.000+08:00"),
    ],
)
def test_times_are_read_in_their_unit(tmp_path: Path, unit: str, time: Any) -> None:
    (request,) = requests_of(load(tmp_path, [view("ann", "x", time)], columns=f'time_unit = "{unit}"'))
    assert request.ts == NOON


@pytest.mark.parametrize("zone", [None, UTC, timezone(timedelta(hours=8))])
def test_typed_parquet_equals_csv(tmp_path: Path, zone: timezone | None) -> None:
    rows = [
        view("ann", 5, NOON, liked=True, survey=4, p_asked=None),
        view("ann", 6, NOON + 1000, liked=False),
    ]
    as_csv = load(tmp_path, rows, answer=ANSWER)
    times = [datetime.fromtimestamp(row["seen_at"] / 1000, zone or UTC) for row in rows]
    typed = pl.DataFrame([dict.fromkeys(COLUMNS) | row for row in rows], infer_schema_length=None)
    typed = typed.with_columns(pl.Series("seen_at", [t if zone else t.replace(tzinfo=None) for t in times]))
    typed.write_parquet(tmp_path / "views.parquet")
    declared = mapping(tmp_path / "iso", 'time_unit = "iso"', ANSWER)
    assert events_of(load_table(tmp_path / "views.parquet", declared)) == events_of(as_csv)


def test_a_folder_a_glob_and_a_file_hold_the_same_rows(tmp_path: Path) -> None:
    rows = [view("ann", item, NOON + n) for n, item in enumerate("abc")]
    declared = mapping(tmp_path)
    whole = write_csv(tmp_path / "whole" / "all.csv", COLUMNS, rows)
    write_csv(tmp_path / "parts" / "one.csv", COLUMNS, rows[2:])
    write_csv(tmp_path / "parts" / "deep" / "two.csv", COLUMNS[::-1], rows[:2])
    events = [
        events_of(load_table(path, declared))
        for path in (whole, tmp_path / "parts", tmp_path / "par*" / "**" / "*.csv")
    ]
    assert events[0] == events[1] == events[2]
    assert len(events[0]) == 4


def test_names_cannot_run_into_one_another(tmp_path: Path) -> None:
    rows = [view("a", "b:c", NOON), view("a:b", "c", NOON)]
    events = events_of(load(tmp_path, rows))
    assert len({event.event_id for event in events}) == len(events) == 4


def test_wrong_paths_are_explained(tmp_path: Path) -> None:
    declared = mapping(tmp_path / "m")
    with pytest.raises(
        InputError,
        match=r"expected a file of CSV, Parquet or JSON lines, a glob, or a folder .* no file matches",
    ):
        load_table(tmp_path / "none*.csv", declared)
    with pytest.raises(InputError, match=r"it holds mapping\.toml"):
        load_table(tmp_path / "m", declared)
    with pytest.raises(InputError, match=r"must end in \.csv, .* got mapping\.toml"):
        load_table(declared, declared)
    write_csv(tmp_path / "both" / "a.csv", COLUMNS, [])
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "both" / "b.parquet")
    with pytest.raises(InputError, match="holds both CSV and Parquet"):
        load_table(tmp_path / "both", declared)
    write_csv(tmp_path / "c.csv", ["viewer", "film"], [])
    with pytest.raises(InputError, match=r"c\.csv lacks video, seen_at, .*; its columns are viewer, film"):
        load_table(tmp_path / "c.csv", declared)
    (tmp_path / "d.parquet").write_text("no")
    with pytest.raises(InputError, match=r"d\.parquet cannot be read"):
        load_table(tmp_path / "d.parquet", declared)


def test_a_csv_row_with_too_many_fields_stops_the_import(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "views.csv", [*COLUMNS, "more"], [view("ann", "x", NOON)])
    file.write_text(file.read_text() + ",".join(["1"] * 20) + "\n")
    with pytest.raises(InputError, match=r"views\.csv cannot be read: found more fields"):
        load_table(file, mapping(tmp_path))


def test_the_example_mapping_feeds_the_example_recipe(tmp_path: Path) -> None:
    text = (RECIPES / "table_mapping.toml").read_text()
    (heading,) = (line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#   "))
    row = {
        "viewer": "ann",
        "video": "x",
        "seen_at": "2022-04-25",
        "interests": "a|b",
        "played": 12,
        "survey": 5,
    }
    file = write_csv(tmp_path / "views.csv", heading.split(","), [{**row, "p_asked": 0.1}])
    (request,) = requests_of(load_table(file, RECIPES / "table_mapping.toml"))
    for feature in read_recipe(RECIPES / "table.toml").features:
        side = (
            request.viewer if isinstance(feature, History) or feature.side == "viewer" else request.candidates
        )
        size = 4 if isinstance(feature, Numeric) else 8
        assert len(side[feature.name]) % size == 0
        assert isinstance(feature, Multi | History) or len(side[feature.name]) == size
