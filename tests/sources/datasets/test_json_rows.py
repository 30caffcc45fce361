"""JSON lines: as CSV, without a key, with keys in escapes, and with lists and objects where none belong."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from easq.errors import InputError
from easq.features.columns import UNKNOWN
from easq.log.ids import stable_id
from easq.sources.datasets.base import EventSource
from easq.sources.datasets.table import load_table
from tests.sources.datasets.test_row_files import ROWS, as_csv, loaded
from tests.sources.datasets.test_table import ANSWER, COLUMNS, mapping, view
from tests.support.small_datasets import NOON, events_of, floats_in, ids_in, requests_of


def lines(file: Path, *rows: dict[str, Any]) -> Path:
    file.write_text("".join(json.dumps(dict.fromkeys(COLUMNS) | row) + "\n" for row in rows))
    return file


def with_tags(folder: Path, *tags: Any) -> tuple[EventSource, list[list[int]]]:
    """Return what is read of views in requests of their own, and the tags of each."""
    rows = [view("ann", "x", NOON + n, tags=cell, survey=4) for n, cell in enumerate(tags)]
    source = loaded(lines(folder / "v.jsonl", *rows))
    assert source.rejects.used == len(tags)
    return source, [ids_in(request, "tags") for request in requests_of(source)]


def test_json_lines_are_read_as_csv(tmp_path: Path) -> None:
    file = tmp_path / "views.jsonl"
    rows = [
        dict.fromkeys(COLUMNS) | row | {"tags": row["tags"].split("|") if row["tags"] else None}
        for row in ROWS
    ]
    rows = [{key: None if value == "" else value for key, value in row.items()} for row in rows]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + "\n")
    assert events_of(loaded(file)) == as_csv(tmp_path)
    compressed = tmp_path / "views.ndjson.gz"
    compressed.write_bytes(gzip.compress(file.read_bytes()))
    assert events_of(loaded(compressed)) == as_csv(tmp_path)


def test_json_lines_without_a_key_are_refused_and_a_torn_line_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "views.jsonl"
    whole = json.dumps(dict.fromkeys(COLUMNS) | ROWS[0])
    file.write_text(f"{whole}\n{whole[:40]}")
    assert loaded(file).rejects.rows == {"cut_short": 1}
    file.write_text(json.dumps(ROWS[1]))
    with pytest.raises(InputError, match=r"views\.jsonl lacks survey, liked"):
        loaded(file)


def test_a_list_or_an_object_is_no_id(tmp_path: Path) -> None:
    rows = [
        view(["ann"], "x", NOON, feed="f"),
        view({"id": 1}, "x", NOON, feed="f"),
        view("ann", [], NOON, feed="f"),
        view("[ann]", "{x}", NOON, feed="f"),
        view("ann", "x", NOON, feed={}),
        view("ann", "y", NOON, feed="f"),
    ]
    declared = mapping(tmp_path / "m", 'request = "feed"')
    source = load_table(lines(tmp_path / "v.jsonl", *rows), declared)
    assert source.rejects.rows == {"bad_viewer": 2, "bad_video": 1, "bad_feed": 1}
    assert {(r.user_id, *r.items) for r in requests_of(source)} == {("[ann]", "{x}"), ("ann", "y")}


def test_a_list_or_an_object_is_no_category_and_its_view_stays(tmp_path: Path) -> None:
    cells = [["nl"], {"code": "nl"}, "[nl]", "{nl", 1e16]
    rows = [view(f"u{n}", "x", NOON + n, country=cell) for n, cell in enumerate(cells)]
    source = loaded(lines(tmp_path / "v.jsonl", *rows))
    assert (source.rejects.rows, source.rejects.used) == ({}, 5)
    assert source.rejects.cells == {"bad_country": 2, "inexact_country": 1}
    found = [ids_in(request, "country") for request in requests_of(source)]
    assert found == [[UNKNOWN], [UNKNOWN], [stable_id("[nl]")], [stable_id("{nl")], [UNKNOWN]]


def test_what_is_no_number_is_unknown_and_its_view_stays(tmp_path: Path) -> None:
    cells = [[7], {"a": 7}, "7", True, "seven", 7]
    rows = [view(f"u{n}", "x", NOON + n, seconds=cell) for n, cell in enumerate(cells)]
    source = loaded(lines(tmp_path / "v.jsonl", *rows))
    assert (source.rejects.rows, source.rejects.cells) == ({}, {"bad_seconds": 3})
    assert source.rejects.examples == {"bad_seconds": ["[7]", '{"a":7}', "seven"]}
    found = [floats_in(request, "seconds") for request in requests_of(source)]
    assert found == [[None], [None], [7.0], [1.0], [None], [7.0]]


def test_parts_of_any_scalar_are_the_values_of_a_multi(tmp_path: Path) -> None:
    mixed = ["a, b]", 'q"\\', 7, 2.0, None, True, -1.5, "", "ö[", "null"]
    source, (tags, nothing) = with_tags(tmp_path, mixed, [])
    texts = ("a, b]", 'q"\\')
    expected = [*map(stable_id, texts), 7, 2, *map(stable_id, ("true", "-1.5", "ö["))]
    assert (tags, nothing, source.rejects.cells) == (expected, [], {})


def test_a_text_that_begins_like_a_list_is_a_text(tmp_path: Path) -> None:
    source, tags = with_tags(tmp_path, "[live] cats", "[live]|[cats", "{a}|b", "[1, 2]")
    expected = [["[live] cats"], ["[live]", "[cats"], ["{a}", "b"]]
    assert tags == [*([stable_id(part) for part in parts] for parts in expected), [1, 2]]
    assert source.rejects.cells == {}


def test_a_cell_with_more_than_a_list_of_scalars_counts_as_empty(tmp_path: Path) -> None:
    source, tags = with_tags(tmp_path, [[1], [2]], [1, {"a": 1}], {"a": 1}, [1, 1e16], [9, "[{"])
    assert tags == [[], [], [], [], [9, stable_id("[{")]]
    assert (source.rejects.rows, source.rejects.cells) == ({}, {"bad_tags": 3, "inexact_tags": 1})


@pytest.mark.parametrize("escaped", [r"l\u00e4nd \ud83d\ude00", r"l\u00E4n\u0064 \uD83D\uDE00", "länd 😀"])
def test_keys_may_be_written_with_escapes(tmp_path: Path, escaped: str) -> None:
    declared = mapping(tmp_path / "m", answer=ANSWER)
    declared.write_text(declared.read_text().replace('column = "country"', 'column = "länd 😀"'))
    file = lines(tmp_path / "v.jsonl", *ROWS)
    file.write_text(file.read_text().replace('"country"', f'"{escaped}"'))
    (request, _) = requests_of(load_table(file, declared))
    assert ids_in(request, "country") == [stable_id("nl")]
    file.write_text(file.read_text().replace(escaped, "land"))
    with pytest.raises(InputError, match=r"v\.jsonl lacks länd 😀"):
        load_table(file, declared)
