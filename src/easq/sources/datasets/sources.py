"""Sources of rows: files of a data set read as text, each row with its number."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from easq.errors import InputError

ROW = "_row"

_WHOLE_ROWS = pl.QueryOptFlags(projection_pushdown=False)
"""Read every column of a CSV: otherwise a row with too many fields would go unnoticed."""


class Source:
    """Rows of text from one file. Row numbers count from 1, without the heading."""

    def __init__(self, name: str, rows: pl.LazyFrame) -> None:
        self.name = name
        self._rows = rows

    def select(self, cells: Mapping[str, pl.Expr], columns: Mapping[str, pl.Expr]) -> pl.DataFrame:
        """Return the row numbers, and columns computed from text and `cells`, which are computed first.

        Raises InputError for an unreadable file.
        """
        rows = self._rows.with_columns(**cells).select(ROW, **columns)
        try:
            return rows.collect(optimizations=_WHOLE_ROWS)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{self.name} cannot be read: {error}") from error

    def raw(self, wanted: pl.DataFrame) -> pl.DataFrame:
        """Return the text of the rows whose numbers are in `wanted`, after its other columns."""
        rows = self._rows.filter(pl.col(ROW).is_in(wanted[ROW].unique().implode())).collect()
        return wanted.join(rows, on=ROW, how="left", maintain_order="left")


def open_file(path: Path, root: Path, needed: Iterable[str]) -> Source:
    """Return the needed columns of a CSV or Parquet file as text.

    Raises InputError if the file cannot be read or lacks a needed column.
    """
    try:
        is_parquet = path.suffix.lower() == ".parquet"
        rows = pl.scan_parquet(path) if is_parquet else pl.scan_csv(path, infer_schema=False)
        schema = rows.collect_schema()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    columns = dict.fromkeys(needed)
    require(columns, schema.names(), str(path))
    texts = [_text(column, schema[column]) for column in columns]
    return Source(str(path.relative_to(root)), rows.select(texts).with_row_index(ROW, offset=1))


def _text(column: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(column)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        value = value.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return value.cast(pl.String)


def require(needed: Iterable[str], present: Collection[str], where: str) -> None:
    """Raise InputError naming every needed column that is not present."""
    if missing := [column for column in needed if column not in present]:
        raise InputError(f"{where} lacks {', '.join(missing)}; its columns are {', '.join(present)}")


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
