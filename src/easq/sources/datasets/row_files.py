"""The files that hold rows: CSV, Parquet and JSON lines, as text and without a guess at types.

A path always names exactly that file: brackets and stars in it are no pattern here. CSV and JSON lines may
be compressed (`.gz`, `.zst`).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from easq.errors import InputError
from easq.sources.datasets.json_rows import flat_parts, is_nested

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

ROW = "_row"
BROKEN = "_broken"
"""Whether a row lacks fields that the heading announces, or is not JSON."""

NESTED = "nested:"
"""Prefix of the columns that say whether a cell is a list or an object of JSON, and so no text."""

LIST = "list:"
"""Prefix of the columns that hold the parts of a multi-valued cell."""

VECTOR = "vector:"
"""Prefix of the columns that hold the numbers of a vector."""

ROUNDED = "e+0"
"""Ending of a whole float that may stand for several, because its type leaves out some of that size."""

KINDS = {
    ".csv": "CSV",
    ".tsv": "CSV",
    ".parquet": "Parquet",
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
}
ENDINGS = ".csv, .tsv, .jsonl or .ndjson (each also with .gz or .zst) or .parquet"

_NO_SEPARATOR = "\x01"  # not allowed in JSON, so that a line stays whole
_EXACT_BELOW: dict[Any, float] = {pl.Float16: 2.0**11, pl.Float32: 2.0**24, pl.Float64: 2.0**53}
_NO_UTF8 = "is not UTF-8; write it as UTF-8, as `iconv -f ISO-8859-1 -t UTF-8` does, or `-f UTF-16`"
_QUOTED = r'"(?:[^"]|"")*"'
_CONTROL = r"[\x00-\x08\x0e-\x1f]"


def kind_of(path: Path) -> str | None:
    """Return the kind of file that a name stands for; None if none does."""
    kind = KINDS.get(_ending_of(path))
    return None if kind == "Parquet" and _ending_of(path) != path.suffix.lower() else kind


def open_rows(path: Path, separator: str | None) -> tuple[pl.LazyFrame, list[str] | None]:
    """Return all rows of a file with their numbers, and the names of its columns.

    JSON lines have no heading: their rows are one column `line`, and None stands for the names. Raises
    InputError if the file cannot be read.
    """
    try:
        match kind_of(path):
            case "Parquet":
                rows = pl.scan_parquet(path, glob=False)
            case "JSON lines":
                rows = _lines(path).filter(pl.col("line").is_not_null())
                _check_characters(path, rows.head(1).collect()["line"])
                return rows, None
            case _:
                rows = pl.scan_csv(
                    path, infer_schema=False, glob=False, separator=separator or _separator_of(path)
                )
        names = rows.collect_schema().names()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise unreadable(path, error) from error
    if kind_of(path) == "CSV":
        _check_characters(path, names)
    return rows.with_row_index(ROW, offset=1), names


def unreadable(where: Path | str, error: Exception) -> InputError:
    """Return what to raise for a file that cannot be read."""
    if "invalid utf-8" in str(error).lower():
        return InputError(f"{where} {_NO_UTF8}")
    return InputError(f"{where} cannot be read: {error}")


def cut_short(path: Path, separator: str | None) -> pl.Series:
    """Return the numbers of a CSV file's rows that have fewer fields than its heading.

    The reader fills such rows up with nothing, as if that had been written. Blank lines are rows of their
    own kind: they hold nothing at all. Raises InputError if the file cannot be read.
    """
    comma = separator or _separator_of(path)
    row = pl.col("line").fill_null("")
    # A line break within quotes ends no row: a row begins where the quotes so far are closed.
    num_quotes = row.str.count_matches('"', literal=True).cast(pl.Int64).cum_sum()
    is_start = num_quotes.shift(fill_value=0) % 2 == 0
    rows = _lines(path).select(row.alias("row"), is_start.cast(pl.Int64).cum_sum().alias("number"))
    rows = rows.group_by("number", maintain_order=True).agg(pl.col("row").str.join("\n"))
    unquoted = pl.col("row").str.replace_all(_QUOTED, "q")
    counts = rows.select(
        unquoted.str.count_matches(comma, literal=True).alias("commas"),
        (pl.col("row").str.strip_chars() == "").alias("is_blank"),
    )
    try:
        counted = counts.collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise unreadable(path, error) from error
    if counted.is_empty():
        return pl.Series(ROW, [], pl.UInt32)
    is_short = (counted["commas"] < counted["commas"][0]) & ~counted["is_blank"]
    places: pl.Series = is_short.arg_true()
    return places.cast(pl.UInt32).alias(ROW)


def text_of(column: str, dtype: pl.DataType, path: Path) -> pl.Expr:
    """Return a column as text: UTC times, whole numbers without a point, UUIDs, no NaN and no infinity.

    Lists stay lists of text. Raises InputError for a type that has no text.
    """
    value = pl.col(column)
    is_list = isinstance(dtype, pl.List | pl.Array) and not dtype.inner.is_nested()
    if not is_list and (dtype.is_nested() or dtype in (pl.Duration, pl.Object)):
        raise InputError(
            f"{path}: column {column!r} is a {dtype}; allowed: texts, numbers, truth values, times, UUIDs, "
            "and lists of these for a feature with kind = 'multi'"
        )
    scalar = dtype.inner if isinstance(dtype, pl.List | pl.Array) else dtype
    parts = value.cast(pl.List(scalar)) if is_list else value
    if scalar == pl.Binary:
        # Not part by part: whether all are texts or UUIDs is one decision.
        return parts.map_batches(_binary_text, return_dtype=pl.List(pl.String) if is_list else pl.String)
    return parts.list.eval(_scalar_text(pl.element(), scalar)) if is_list else _scalar_text(value, scalar)


def vector_cells(column: str, dtype: pl.DataType, path: Path) -> pl.Expr:
    """Return a column of vectors as it is: lists of numbers, or texts. Raises InputError for another type."""
    inner = dtype.inner if isinstance(dtype, pl.List | pl.Array) else None
    if dtype != pl.String and (inner is None or not inner.is_numeric()):
        raise InputError(
            f"{path}: column {column!r} is a {dtype}; allowed for kind = 'vector': lists of numbers, and "
            "texts with a separator between numbers"
        )
    return pl.col(column)


def parts_of(
    column: str, dtype: pl.DataType, separator: str, null_values: tuple[str, ...], is_json: bool
) -> pl.Expr:
    """Return the parts of a multi-valued cell: a list's elements, or a text cut at `separator`.

    Parts that stand for nothing are left out. Null for a cell of JSON that has other parts than scalars.
    """
    value = pl.col(column)
    parts = value if dtype.is_nested() else value.str.split(separator)
    if is_json:
        parts = pl.when(is_nested(value)).then(flat_parts(value)).otherwise(parts)
    is_nothing = pl.element().str.strip_chars().is_in(null_values).fill_null(True)
    return parts.list.eval(pl.element().filter(~is_nothing)) if null_values else parts


def without_nulls(columns: Mapping[str, pl.DataType], null_values: tuple[str, ...]) -> list[pl.Expr]:
    """Return the text columns with nothing in the place of each text that stands for nothing."""
    texts = [column for column, dtype in columns.items() if dtype == pl.String]
    if not null_values:
        return []
    return [
        pl.when(~pl.col(column).str.strip_chars().is_in(null_values)).then(pl.col(column)).alias(column)
        for column in texts
    ]


def _lines(path: Path) -> pl.LazyFrame:
    return pl.scan_csv(
        path,
        has_header=False,
        new_columns=["line"],
        separator=_NO_SEPARATOR,
        quote_char=None,
        infer_schema=False,
        glob=False,
    ).with_row_index(ROW, offset=1)


def _separator_of(path: Path) -> str:
    return "\t" if _ending_of(path) == ".tsv" else ","


def _ending_of(path: Path) -> str:
    """Return the ending of a name in small letters, without that of a compression."""
    return Path(path.name.lower().removesuffix(".gz").removesuffix(".zst")).suffix


def _check_characters(path: Path, texts: Iterable[str]) -> None:
    """Raise InputError if every second character is missing, as where UTF-16 is read as UTF-8."""
    if any("\0" in text for text in texts):
        raise InputError(f"{path} {_NO_UTF8}")


def _scalar_text(value: pl.Expr, dtype: "PolarsDataType") -> pl.Expr:
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        value = value.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if dtype.is_float():
        return _float_text(value, _EXACT_BELOW[dtype.base_type()])
    text = value.cast(pl.String)
    return text.str.replace(r"\.0+$", "") if dtype.is_decimal() else text


def _float_text(value: pl.Expr, exact_below: float) -> pl.Expr:
    """Return floats as text; `1003.0` is `1003`, as the same number of another file is an integer.

    Whole numbers from `exact_below` on are written with an exponent, as other programs write large ones.
    """
    number = value.cast(pl.Float64)  # the text of a float32 would have fewer digits
    is_whole = (number == number.floor()) & number.is_finite()
    is_exact = number.abs() < exact_below
    whole = pl.when(is_whole & is_exact).then(number).cast(pl.Int64, strict=False).cast(pl.String)
    large = pl.when(is_whole & ~is_exact).then(number).cast(pl.String).str.replace(r"\.0$", ROUNDED)
    return pl.coalesce(whole, large, pl.when(value.is_finite()).then(value).cast(pl.String))


def _binary_text(values: pl.Series) -> pl.Series:
    """Return bytes, or lists of bytes, as texts or UUIDs."""
    is_list = values.dtype == pl.List
    to_text = _uuid_text if _are_uuids(values.explode() if is_list else values) else _utf8_text
    value = pl.col(values.name)
    text = value.list.eval(to_text(pl.element())) if is_list else to_text(value)
    return values.to_frame().select(text).to_series()


def _are_uuids(values: pl.Series) -> bool:
    """Return whether bytes are UUIDs: each is 16 bytes, and one is no text."""
    try:
        if not values.cast(pl.String).str.contains(_CONTROL).any():
            return False
    except pl.exceptions.PolarsError:
        pass
    if not (values.bin.size() == 16).fill_null(True).all():
        raise pl.exceptions.ComputeError(
            f"column {values.name!r} holds bytes that are neither UTF-8 text nor UUIDs of 16 bytes; "
            "write it as text"
        )
    return True


def _utf8_text(value: pl.Expr) -> pl.Expr:
    return value.cast(pl.String)


def _uuid_text(value: pl.Expr) -> pl.Expr:
    digits = value.bin.encode("hex")
    cuts = ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))
    return pl.concat_str([digits.str.slice(start, length) for start, length in cuts], separator="-")
