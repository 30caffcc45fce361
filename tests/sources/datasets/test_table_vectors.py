"""Vectors in tables: lists of Parquet, texts of CSV and JSON lines; a bad one is empty, its row is used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from easq.errors import InputError
from easq.sources.datasets.base import EventSource
from easq.sources.datasets.table import load_table
from tests.support.small_datasets import NOON, requests_of

MAPPING = """
name = "shop"
[columns]
user = "viewer"
item = "video"
time = "seen_at"
request = "request"
[[features]]
name = "item"
column = "video"
side = "candidate"
kind = "categorical"
[[features]]
name = "content"
column = "embedding"
side = "candidate"
kind = "vector"
dim = 3
{more}
[[behaviors]]
name = "like"
column = "liked"
"""

VECTORS = [[0.5, -2.0, 3.0], None, [1.0, 2.0], [1e300, 0.0, 0.0], [float("nan"), 0.0, 0.0], [7.0, 8.0, 9.0]]
USED = [[0.5, -2.0, 3.0], None, None, None, None, [7.0, 8.0, 9.0]]


def load(folder: Path, file: Path, more: str = "", change: tuple[str, str] = ("", "")) -> EventSource:
    mapping = folder / "mapping.toml"
    mapping.write_text(MAPPING.format(more=more).replace(*change))
    return load_table(file, mapping, folder / "rejects.jsonl")


def rows_of(vectors: list[Any], **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "viewer": "ann",
            "video": f"v{n}",
            "seen_at": NOON,
            "request": 1,
            "embedding": v,
            "liked": n % 2,
            **more,
        }
        for n, v in enumerate(vectors)
    ]


def vectors_in(loaded: EventSource, name: str = "content", dim: int = 3) -> list[list[float] | None]:
    (request,) = requests_of(loaded)
    columns = request.candidates if name in request.candidates else request.viewer
    found = np.frombuffer(columns[name], "<f4").reshape(-1, dim)
    in_order = (
        dict(zip(request.items, found.tolist(), strict=True)) if len(found) > 1 else {"": found[0].tolist()}
    )
    return [None if np.isnan(v).any() else v for _, v in sorted(in_order.items())]


@pytest.mark.parametrize("dtype", [pl.List(pl.Float64), pl.List(pl.Float32), pl.Array(pl.Float32, 3)])
def test_lists_of_parquet_are_vectors(tmp_path: Path, dtype: Any) -> None:
    is_array = isinstance(dtype, pl.Array)
    given = [v if v is None or len(v) == 3 else None for v in VECTORS] if is_array else VECTORS
    file = tmp_path / "views.parquet"
    column = pl.Series("embedding", given, dtype, strict=False)
    pl.DataFrame(rows_of([None] * 6)).with_columns(column).write_parquet(file)
    loaded = load(tmp_path, file)
    assert vectors_in(loaded) == USED
    assert loaded.rejects.cells == {"bad_embedding": 2 if is_array else 3}
    assert (loaded.rejects.used, sum(loaded.rejects.rows.values())) == (6, 0)
    lines = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert {line["reason"] for line in lines} == {"bad_embedding"}


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_texts_are_vectors_too(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"views.{kind}"
    if kind == "csv":
        texts = ["0.5|-2|3", "", "1|2", "1e300|0|0", "x|0|0", "[7| 8|9]"]
        pl.DataFrame(rows_of(texts)).write_csv(file)
        more = ('kind = "vector"', 'kind = "vector"\nseparator = "|"')
    else:
        given = [[0.5, -2, 3], None, [1, 2], [1e300, 0, 0], ["x", 0, 0], "7,8, 9"]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows_of(given)))
        more = ("", "")
    loaded = load(tmp_path, file, change=more)
    assert vectors_in(loaded) == USED
    assert loaded.rejects.cells == {"bad_embedding": 3}


def test_a_viewers_vector_is_that_of_the_first_row_and_repeated_rows_are_one(tmp_path: Path) -> None:
    more = '[[features]]\nname = "taste"\ncolumn = "taste"\nside = "viewer"\nkind = "vector"\ndim = 2'
    file = tmp_path / "views.parquet"
    rows = rows_of([VECTORS[0], VECTORS[5]], taste=[1.5, 2.5])
    pl.DataFrame([*rows, *rows]).write_parquet(file)
    loaded = load(tmp_path, file, more)
    assert vectors_in(loaded) == [VECTORS[0], VECTORS[5]]
    assert vectors_in(loaded, "taste", 2) == [[1.5, 2.5]]
    assert loaded.rejects.rows == {"duplicate": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("dim = 3", ""), r"features\[1\].dim: got none; allowed: 1 to 1024"),
        (("dim = 3", "dim = 0"), r"features\[1\].dim = 0"),
        (("dim = 3", "dim = 1025"), r"features\[1\].dim = 1025"),
        (
            ('kind = "categorical"', 'kind = "categorical"\ndim = 3'),
            r"features\[0\].dim: got 3; allowed: none",
        ),
        (('column = "embedding"', 'column = "video"'), r"features\[1\].column = 'video' is named in another"),
        (
            ('kind = "categorical"', 'kind = "categorical"\nseparator = ","'),
            "it is for 'multi' and 'vector'",
        ),
    ],
)
def test_a_mapping_that_contradicts_itself_is_refused(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    file = tmp_path / "views.parquet"
    pl.DataFrame(rows_of([VECTORS[0]])).write_parquet(file)
    with pytest.raises(InputError, match=message):
        load(tmp_path, file, change=change)


def test_a_column_of_another_type_is_refused_with_what_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "views.parquet"
    pl.DataFrame(rows_of([["a", "b", "c"]])).write_parquet(file)
    with pytest.raises(
        InputError, match=r"column 'embedding' is a List.*; allowed for kind = 'vector': lists of"
    ):
        load(tmp_path, file)
