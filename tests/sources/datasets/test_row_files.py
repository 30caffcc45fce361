"""Files as other programs write them: compressed, typed, cut short, with other marks for nothing."""

import gzip
import json
import math
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pytest

from easq.errors import InputError
from easq.features.columns import UNKNOWN
from easq.log.events import Answered, Event
from easq.log.ids import stable_id
from easq.sources.datasets import load as load_to_log
from easq.sources.datasets.base import EventSource
from easq.sources.datasets.table import load_table
from tests.sources.datasets.test_table import ANSWER, COLUMNS, mapping, view
from tests.support.small_datasets import NOON, events_of, floats_in, ids_in, requests_of, write_csv

ROWS = [
    view("ann", "x", NOON, liked=1, survey=4),
    view("ann", "y", NOON + 1000, tags="", seconds=""),
    view("bo", "x", NOON + 2000, liked=0),
]


def loaded(path: Path, **keys: str) -> EventSource:
    declared = mapping(path.parent / "m", answer=ANSWER)
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    declared.write_text(lines + declared.read_text())
    return load_table(path, declared)


def as_csv(folder: Path, rows: list[dict[str, Any]] = ROWS) -> list[Event]:
    return events_of(loaded(write_csv(folder / "plain" / "views.csv", COLUMNS, rows)))


def parquet(file: Path, rows: list[dict[str, Any]], **columns: pl.Series) -> Path:
    frame = pl.DataFrame([dict.fromkeys(COLUMNS) | row for row in rows], infer_schema_length=None)
    frame.with_columns(**columns).write_parquet(file)
    return file


def test_compressed_files_are_read_as_plain_ones(tmp_path: Path) -> None:
    plain = as_csv(tmp_path)
    text = (tmp_path / "plain" / "views.csv").read_bytes()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text))
    pl.read_csv(text, infer_schema=False).write_csv(tmp_path / "b.csv.zst", compression="zstd")
    assert events_of(loaded(tmp_path / "a.csv.gz")) == plain
    assert events_of(loaded(tmp_path / "b.csv.zst")) == plain


def test_a_folder_holds_plain_and_compressed_files_and_names_what_it_passes_over(tmp_path: Path) -> None:
    write_csv(tmp_path / "in" / "a.csv", COLUMNS, ROWS[:2])
    rest = write_csv(tmp_path / "rest.csv", COLUMNS, ROWS[2:])
    (tmp_path / "in" / "b.csv.gz").write_bytes(gzip.compress(rest.read_bytes()))
    (tmp_path / "in" / "c.xlsx").write_text("no table")
    summary = load_to_log("table", tmp_path / "in", tmp_path / "a.log", mapping(tmp_path / "m"))
    assert (summary["rows"], summary["views"], summary["passed_over"]) == (3, 3, ["c.xlsx"])


def test_rows_cut_short_are_rejected(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "views.csv", COLUMNS, ROWS)
    text = file.read_text() + f'ann,z,{NOON}\nbo,"z,""q""",{NOON + 9},nl,"a,b",9,1,,,\ncy,z,{NOON},n'
    file.write_text(text)
    source = loaded(file)
    assert source.rejects.rows == {"cut_short": 2}
    assert (source.rejects.read, source.rejects.used) == (6, 4)


def test_blank_lines_and_breaks_within_quotes_move_no_row_number(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "views.csv", COLUMNS, [view("ann", "x", NOON, country="n\nl,"), ROWS[1]])
    file.write_text(file.read_text() + f'\n"an""n\n",z,{NOON}\n')
    rejects = tmp_path / "r.jsonl"
    source = load_table(file, mapping(tmp_path / "m"), rejects)
    assert source.rejects.rows == {"cut_short": 1, "missing_viewer": 1}
    reasons = {line["row"]: line["reason"] for line in map(json.loads, rejects.read_text().splitlines())}
    assert reasons == {3: "missing_viewer", 4: "cut_short"}


def test_texts_for_nothing_are_empty_cells(tmp_path: Path) -> None:
    rows = [
        view("NULL", "x", NOON),
        view("ann", "y", NOON, seconds="\\N", country="None", tags="null", liked="NaN", survey="NULL"),
    ]
    file = write_csv(tmp_path / "views.csv", COLUMNS, rows)
    source = loaded(file)
    assert (source.rejects.rows, source.rejects.answers) == ({"missing_viewer": 1}, {})
    (request,) = requests_of(source)
    assert floats_in(request, "seconds") == [None]
    assert (ids_in(request, "country"), ids_in(request, "tags")) == ([UNKNOWN], [])
    kept = loaded(write_csv(tmp_path / "a.csv", COLUMNS, [view("NULL", "-", NOON)]), null_values='["-"]')
    assert kept.rejects.rows == {"missing_video": 1}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None])
def test_what_is_no_number_in_parquet_is_unknown(tmp_path: Path, bad: float | None) -> None:
    rows = [view("ann", "x", NOON), view("ann", "y", NOON + 1)]
    numbers = pl.Series([1.5, bad], dtype=pl.Float64)
    source = loaded(parquet(tmp_path / "v.parquet", rows, seconds=numbers, liked=numbers))
    assert source.rejects.rows == {}
    (request,) = requests_of(source)
    assert floats_in(request, "seconds") == [1.5, None]


def test_lists_are_the_values_of_a_multi(tmp_path: Path) -> None:
    rows = [view("ann", "x", NOON), view("ann", "y", NOON + 1)]
    tags = pl.Series([["a|b", "7", None], None], dtype=pl.List(pl.String))
    (request,) = requests_of(loaded(parquet(tmp_path / "v.parquet", rows, tags=tags)))
    assert ids_in(request, "tags") == [stable_id("a|b"), 7]
    floats = pl.Series([[7.0, math.nan], []], dtype=pl.List(pl.Float64))
    (request,) = requests_of(loaded(parquet(tmp_path / "v.parquet", rows, tags=floats)))
    assert ids_in(request, "tags") == [7]
    wrong = parquet(tmp_path / "w.parquet", rows, country=pl.Series([["nl"], ["de"]]))
    with pytest.raises(InputError, match=r"column 'country' holds lists; allowed for .* kind = 'multi'"):
        loaded(wrong)
    wrong = parquet(tmp_path / "w.parquet", rows, tags=pl.Series([{"a": 1}, {"a": 2}]))
    with pytest.raises(InputError, match=r"column 'tags' is a Struct.*allowed: texts, numbers"):
        loaded(wrong)


def test_bytes_are_texts_or_uuids(tmp_path: Path) -> None:
    rows = [view("ann", "x", NOON), view("ann", "y", NOON + 1)]
    ids = [UUID(int=(0xABCDEF << 100) + n) for n in range(2)]
    as_bytes = pl.Series([u.bytes for u in ids], dtype=pl.Binary)
    (request,) = requests_of(loaded(parquet(tmp_path / "v.parquet", rows, video=as_bytes)))
    assert request.items == [str(u) for u in ids]
    texts = pl.Series([b"sixteen letters.", b"y"], dtype=pl.Binary)
    (request,) = requests_of(loaded(parquet(tmp_path / "v.parquet", rows, video=texts)))
    assert request.items == ["sixteen letters.", "y"]
    wrong = parquet(tmp_path / "v.parquet", rows, video=pl.Series([b"\xff\xfe", b"y"], dtype=pl.Binary))
    with pytest.raises(InputError, match="'video' holds bytes that are neither UTF-8 text nor UUIDs"):
        loaded(wrong)


def test_bytes_in_lists_are_texts_or_uuids(tmp_path: Path) -> None:
    rows = [view("ann", "x", NOON + n) for n in range(4)]
    # The second alone could be a text of 16 letters.
    uuids = [UUID(int=0xABCDEF << 100), UUID(bytes=b"sixteen letters.")]
    lists = pl.Series([[uuids[0].bytes, None], [uuids[1].bytes], [], None], dtype=pl.List(pl.Binary))
    parts = [
        ids_in(r, "tags") for r in requests_of(loaded(parquet(tmp_path / "v.parquet", rows, tags=lists)))
    ]
    assert parts == [[stable_id(str(uuids[0]))], [stable_id(str(uuids[1]))], [], []]
    texts = pl.Series([[b"a", b"b"]] * 4, dtype=pl.List(pl.Binary))
    request, *_ = requests_of(loaded(parquet(tmp_path / "v.parquet", rows, tags=texts)))
    assert ids_in(request, "tags") == [stable_id("a"), stable_id("b")]
    wrong = pl.Series([[b"\xff\xfe"]] * 4, dtype=pl.List(pl.Binary))
    with pytest.raises(InputError, match="'tags' holds bytes that are neither UTF-8 text nor UUIDs"):
        loaded(parquet(tmp_path / "v.parquet", rows, tags=wrong))


FLOATS = [(pl.Float16, 2**11), (pl.Float32, 2**24), (pl.Float64, 2**53)]


@pytest.mark.parametrize(("dtype", "limit"), FLOATS)
@pytest.mark.parametrize("column", ["viewer", "video"])
def test_ids_that_a_type_of_floats_may_have_merged_are_counted(
    tmp_path: Path, column: str, dtype: type[pl.DataType], limit: int
) -> None:
    numbers = [limit - 1, limit, limit + 1, -limit, limit + 2]
    rows = [view("ann", "x", NOON + n) for n in range(5)]
    ids = pl.Series(numbers, dtype=pl.Float64).cast(dtype)
    source = loaded(parquet(tmp_path / "v.parquet", rows, **{column: ids}))
    assert source.rejects.rows == {f"inexact_{column}": 4}
    (request,) = requests_of(source)
    assert str(limit - 1) in (request.user_id, *request.items)


def test_a_request_that_floats_may_have_merged_is_none(tmp_path: Path) -> None:
    rows = [view("ann", f"v{n}", NOON + n) for n in range(3)]
    declared = mapping(tmp_path / "m", 'request = "feed"')
    feeds = pl.Series([1e18, 1e18 + 1, 5.0])
    source = load_table(parquet(tmp_path / "v.parquet", rows, feed=feeds), declared)
    assert source.rejects.rows == {"inexact_feed": 2}


def test_categories_that_floats_may_have_merged_are_unknown_and_their_views_stay(tmp_path: Path) -> None:
    rows = [view("ann", f"v{n}", NOON + n, survey=4) for n in range(3)]
    countries = pl.Series([2.0**24, 7.0, None], dtype=pl.Float32)
    tags = pl.Series([[1.0], [3.0, 2.0**24 + 2], None], dtype=pl.List(pl.Float32))
    file = parquet(tmp_path / "v.parquet", rows, country=countries, tags=tags)
    rejects = tmp_path / "r.jsonl"
    source = load_table(file, mapping(tmp_path / "m", answer=ANSWER), rejects)
    assert (source.rejects.rows, source.rejects.answers, source.rejects.used) == ({}, {}, 3)
    assert source.rejects.cells == {"inexact_country": 1, "inexact_tags": 1}
    lines = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(line["row"], line["reason"]) for line in lines] == [(1, "inexact_country"), (2, "inexact_tags")]
    (request,) = requests_of(source)
    assert (ids_in(request, "country"), ids_in(request, "tags")) == ([UNKNOWN], [1])
    assert sum(isinstance(event, Answered) for event in events_of(source)) == 3


def test_a_cell_of_two_features_is_counted_once_and_told_in_the_summary(tmp_path: Path) -> None:
    declared = mapping(tmp_path / "m")
    again = '[[features]]\nname = "land"\ncolumn = "country"\nside = "viewer"\nkind = "categorical"\n'
    declared.write_text(declared.read_text() + again)
    rows = [view("ann", "x", NOON, country="1e+16"), view("ann", "y", NOON + 1)]
    file = write_csv(tmp_path / "v.csv", COLUMNS, rows)
    summary = load_to_log("table", file, tmp_path / "a.log", declared)
    assert (summary["rejected"], summary["rejected_cells"]) == ({}, {"inexact_country": 1})
    assert summary["cell_examples"] == {"inexact_country": ["1e+16"]}


def test_times_that_a_type_of_floats_has_rounded_are_counted(tmp_path: Path) -> None:
    rows = [view("ann", f"v{n}", NOON) for n in range(3)]
    seconds = pl.Series([NOON / 1000 + n for n in range(3)])
    declared = mapping(tmp_path / "m", 'time_unit = "s"')
    rounded = parquet(tmp_path / "v.parquet", rows, seen_at=seconds.cast(pl.Float32))
    assert load_table(rounded, declared).rejects.rows == {"inexact_seen_at": 3}
    (request,) = requests_of(load_table(parquet(tmp_path / "w.parquet", rows, seen_at=seconds), declared))
    assert request.ts == NOON


def test_large_numbers_of_a_small_type_of_floats_are_numbers(tmp_path: Path) -> None:
    numbers = pl.Series([2.0**25, 1.5 * 2.0**33], dtype=pl.Float32)
    rows = [view("ann", "x", NOON), view("ann", "y", NOON + 1)]
    source = loaded(parquet(tmp_path / "v.parquet", rows, seconds=numbers, liked=numbers))
    (request,) = requests_of(source)
    assert floats_in(request, "seconds") == [2.0**25, 1.5 * 2.0**33]


def test_answers_in_a_column_of_decimals_are_those_of_the_mapping(tmp_path: Path) -> None:
    rows = [view(f"u{n}", "x", NOON) for n in range(2)]
    answers = pl.Series(["4.00", "1.00"]).str.to_decimal(scale=2)
    typed = loaded(parquet(tmp_path / "v.parquet", rows, survey=answers))
    told = [dict(row, survey=text) for row, text in zip(rows, ("4.00", " 1.000 "), strict=True)]
    for source in (typed, loaded(write_csv(tmp_path / "v.csv", COLUMNS, told))):
        assert source.rejects.answers == {}
        options = [event.option for event in events_of(source) if isinstance(event, Answered)]
        assert sorted(options) == ["dissatisfied", "satisfied"]


def test_ids_in_a_column_of_decimals_are_exact(tmp_path: Path) -> None:
    rows = [view("ann", "x", NOON), view("ann", "y", NOON + 1)]
    ids = pl.Series(["9007199254740993.00", "7.00"]).str.to_decimal(scale=2)
    (request,) = requests_of(loaded(parquet(tmp_path / "v.parquet", rows, video=ids)))
    assert request.items == ["9007199254740993", "7"]


def test_doubles_as_java_writes_them_are_no_ids(tmp_path: Path) -> None:
    rows = [view(user, "x", NOON) for user in ("1.2345678E7", "1.0E16", "12345678", "12e45678")]
    source = loaded(write_csv(tmp_path / "v.csv", COLUMNS, rows))
    assert source.rejects.rows == {"inexact_viewer": 2}
    assert {r.user_id for r in requests_of(source)} == {"12345678", "12e45678"}


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_brackets_and_stars_in_a_path_name_exactly_that_file(tmp_path: Path, ending: str) -> None:
    for name, rows in (("views[1]", ROWS), ("views1", ROWS[:1]), ("v*", ROWS[:2])):
        file = tmp_path / "d [x]" / f"{name}.{ending}"
        file.parent.mkdir(exist_ok=True)
        full = [
            {k: None if v == "" else v for k, v in (dict.fromkeys(COLUMNS) | row).items()} for row in rows
        ]
        if ending == "csv":
            write_csv(file, COLUMNS, rows)
        elif ending == "jsonl":
            file.write_text("".join(json.dumps(row) + "\n" for row in full))
        else:
            pl.DataFrame(full, infer_schema_length=None).write_parquet(file)
    assert loaded(tmp_path / "d [x]" / f"views[1].{ending}").rejects.read == 3
    assert loaded(tmp_path / "d [x]" / f"v*.{ending}").rejects.read == 2


def test_a_separator_is_declared_or_asked_for(tmp_path: Path) -> None:
    plain = as_csv(tmp_path)
    text = (tmp_path / "plain" / "views.csv").read_text()
    (tmp_path / "a.csv").write_text(text.replace(",", ";"))
    (tmp_path / "b.tsv").write_text(text.replace(",", "\t"))
    assert events_of(loaded(tmp_path / "a.csv", separator='";"')) == plain
    assert events_of(loaded(tmp_path / "b.tsv")) == plain
    (tmp_path / "B.TSV").write_text(text.replace(",", "\t"))
    (tmp_path / "B.Tsv.GZ").write_bytes(gzip.compress(text.replace(",", "\t").encode()))
    (tmp_path / "b.tsv.csv").write_text(text)
    for name in ("B.TSV", "B.Tsv.GZ", "b.tsv.csv"):
        assert events_of(loaded(tmp_path / name)) == plain
    with pytest.raises(InputError, match="say what does with `separator` in the mapping"):
        loaded(tmp_path / "a.csv")


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "jsonl", "jsonl.gz"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-16-be"])
def test_another_encoding_is_refused_by_name(tmp_path: Path, encoding: str, ending: str) -> None:
    rows = [dict.fromkeys(COLUMNS) | view("Zoë", "x", NOON + n) for n in range(3)]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if ending.startswith("csv"):
        text = write_csv(tmp_path / "plain.csv", COLUMNS, rows).read_text()
    data = text.encode(encoding)
    file = tmp_path / f"v.{ending}"
    file.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    with pytest.raises(InputError, match=rf"v\.{ending} is not UTF-8; write it as UTF-8"):
        loaded(file)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_wrong_character_far_behind_is_refused_by_name(tmp_path: Path, ending: str) -> None:
    rows = [dict.fromkeys(COLUMNS, 0) | view(f"u{n}", "x", NOON + n) for n in range(3000)]
    file = write_csv(tmp_path / "v.csv", COLUMNS, rows)
    if ending == "jsonl":
        file = tmp_path / "v.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    file.write_bytes(file.read_bytes().replace(b"u2999", b"u\xe9"))
    with pytest.raises(InputError, match=rf"v\.{ending} is not UTF-8"):
        loaded(file)


def test_an_import_that_can_use_nothing_is_refused(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "v.csv", COLUMNS, [view("ann", "x", NOON, liked="t")])
    with pytest.raises(InputError, match=r"no row of 1 can be used \(bad_liked 1\); each stands in .*jsonl"):
        load_to_log("table", file, tmp_path / "a.log", mapping(tmp_path / "m"))
    assert not (tmp_path / "a.log").exists()
