"""Sources of rows: files of a data set read as text, each row with its number."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from easq.errors import InputError
from easq.sources.datasets.cells import numbers
from easq.sources.datasets.json_rows import is_nested, json_text, missing_keys
from easq.sources.datasets.row_files import (
    BROKEN,
    LIST,
    NESTED,
    ROW,
    VECTOR,
    cut_short,
    kind_of,
    open_rows,
    parts_of,
    text_of,
    unreadable,
    vector_cells,
    without_nulls,
)

_WHOLE_ROWS = pl.QueryOptFlags(projection_pushdown=False)
"""Read every column of a CSV: otherwise a row with too many fields would go unnoticed."""


class Source:
    """Rows of text from one file. Row numbers count from 1, without the heading.

    `prepared` are columns computed before all others: texts without those that stand for nothing, lists,
    and whether a row is BROKEN. Rows as read (`raw`) are without them.
    """

    def __init__(self, name: str, rows: pl.LazyFrame, prepared: Sequence[pl.Expr] | None = None) -> None:
        self.name = name
        self._rows = rows
        self._prepared = [pl.lit(False).alias(BROKEN)] if prepared is None else prepared

    def select(self, cells: Mapping[str, pl.Expr], columns: Mapping[str, pl.Expr]) -> pl.DataFrame:
        """Return the row numbers, and columns computed from text and `cells`, which are computed first.

        Raises InputError for an unreadable file.
        """
        rows = self._rows.with_columns(*self._prepared).with_columns(**cells).select(ROW, **columns)
        try:
            return rows.collect(optimizations=_WHOLE_ROWS)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise unreadable(self.name, error) from error

    def raw(self, wanted: pl.DataFrame) -> pl.DataFrame:
        """Return the text of the rows whose numbers are in `wanted`, after its other columns."""
        rows = self._rows.filter(pl.col(ROW).is_in(wanted[ROW].unique().implode())).collect()
        rows = rows.drop(BROKEN, strict=False)
        return wanted.join(rows, on=ROW, how="left", maintain_order="left")


def open_file(
    path: Path,
    root: Path,
    needed: Iterable[str],
    lists: Mapping[str, str] | None = None,
    null_values: tuple[str, ...] = (),
    separator: str | None = None,
    vectors: Mapping[str, str] | None = None,
) -> Source:
    """Return the needed columns of a CSV, Parquet or JSON lines file as text.

    `lists` are the columns of several values, with what separates these in a text; their parts come as
    LIST columns, and the numbers of `vectors` as VECTOR columns. Lists of numbers do not become text. NESTED
    columns say which cells of JSON are no texts. `null_values` are texts that stand for nothing, `separator`
    is that of a CSV's fields. Raises InputError if the file cannot be read, lacks a needed column, or has one
    of a type without text.
    """
    lists, vectors, columns = lists or {}, vectors or {}, list(dict.fromkeys(needed))
    rows, names = open_rows(path, separator)
    if names is None:
        try:
            missing = missing_keys(rows, columns)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise unreadable(path, error) from error
        require(columns, [column for column in columns if column not in missing], str(path))
        texts = [json_text(column, path) for column in columns]
        dtypes: dict[str, pl.DataType] = dict.fromkeys(columns, pl.String())
        whole = pl.col("line").str.json_path_match("$").str.starts_with("{").fill_null(False)
        rows = rows.select(ROW, *texts, (~whole).alias(BROKEN))
    else:
        require(columns, names, str(path))
        schema = rows.collect_schema()
        cells = [(vector_cells if c in vectors else text_of)(c, schema[c], path) for c in columns]
        rows = rows.select(ROW, *cells)
        found = rows.collect_schema()
        dtypes = {column: found[column] for column in columns}
        cut = cut_short(path, separator) if kind_of(path) == "CSV" else pl.Series(ROW, [], pl.UInt32)
        rows = rows.with_columns(pl.col(ROW).is_in(cut.implode()).alias(BROKEN))
    prepared = without_nulls(dtypes, null_values)
    prepared += [
        (is_nested(pl.col(column)) if names is None else pl.lit(False)).alias(NESTED + column)
        for column in columns
    ]
    prepared += [
        parts_of(column, dtypes[column], between, null_values, names is None).alias(LIST + column)
        for column, between in lists.items()
    ]
    prepared += [
        numbers(pl.col(column), dtypes[column], between).alias(VECTOR + column)
        for column, between in vectors.items()
    ]
    for column, dtype in dtypes.items():
        if dtype.is_nested() and column not in lists and column not in vectors:
            raise InputError(
                f"{path}: column {column!r} holds lists; allowed for a feature with kind = 'multi'"
            )
    return Source(str(path.relative_to(root)), rows, prepared)


def require(needed: Iterable[str], present: Collection[str], where: str) -> None:
    """Raise InputError naming every needed column that is not present."""
    if missing := [column for column in needed if column not in present]:
        hint = "; if not a comma separates its fields, say what does with `separator` in the mapping"
        is_one = len(present) == 1 and any(mark in next(iter(present)) for mark in ";\t|")
        raise InputError(
            f"{where} lacks {', '.join(missing)}; its columns are {', '.join(present) or 'none of those'}"
            f"{hint if is_one else ''}"
        )


def find(root: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the files anywhere under `root` that match one of the patterns, sorted by name."""
    return sorted({path for pattern in patterns for path in root.rglob(pattern) if path.is_file()})


def find_one(root: Path, pattern: str, what: str) -> Path:
    """Return the only file under `root` that matches. Raises InputError if there is none or several."""
    match find(root, [pattern]):
        case [path]:
            return path
        case []:
            raise InputError(f"{root} holds no {pattern} ({what}); found {listing(root)}")
        case several:
            names = ", ".join(str(path.relative_to(root)) for path in several)
            raise InputError(f"{root} holds several {pattern} ({names}): give the folder of one data set")


def files_at(path: Path) -> list[Path]:
    """Return all files of a folder, the file of exactly that name, or those that match a glob; sorted."""
    if path.is_dir():
        found = path.rglob("*")
    elif path.is_file():
        return [path]
    else:
        found = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
    return sorted(file for file in found if file.is_file())


def check_folder(root: Path, expected: str) -> None:
    """Raise InputError, naming what is expected, if `root` is not a folder."""
    if not root.is_dir():
        state = "is a file" if root.exists() else "does not exist"
        raise InputError(f"{root} {state}; expected a folder with {expected}")


def listing(root: Path, limit: int = 12) -> str:
    """Return some of the names under `root`, for messages."""
    names = [str(path.relative_to(root)) for path in sorted(root.rglob("*")) if path.is_file()]
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) + more) if names else "nothing"
