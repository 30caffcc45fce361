"""Tables as callers have them: a frame of polars, pandas or Arrow, or a path."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import tomli_w

from easq.errors import InputError, format_value

Table = Any
"""A path, or a frame that speaks the Arrow stream interface: polars, pandas from 2.2 on, pyarrow, duckdb."""


def is_path(table: Table) -> bool:
    """Return whether a table is given by its path."""
    return isinstance(table, str | Path)


def frame_of(table: Table, name: str) -> pl.DataFrame:
    """Return a frame as polars has it, or the Parquet file at a path.

    Raises InputError, with the argument's `name`, for what is neither.
    """
    if isinstance(table, pl.LazyFrame):
        table = table.collect()
    if isinstance(table, pl.DataFrame):
        return table
    try:
        if is_path(table):
            return pl.read_parquet(table, glob=False)
        if hasattr(table, "__arrow_c_stream__"):
            return pl.DataFrame(table)
    except (OSError, ImportError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        what = table if is_path(table) else type(table).__name__
        raise InputError(f"{name}: {what} cannot be read as a table: {error}") from None
    raise InputError(
        f"{name}: got {format_value(table)}; allowed: a path, or a frame of polars, pandas (2.2 or later, "
        "with pyarrow) or pyarrow"
    )


def write_frame(table: Table, name: str, path: Path) -> Path:
    """Write a frame as the Parquet file `path`; raise InputError, naming the column, where it has no text."""
    frame = frame_of(table, name)
    for column, kind in frame.schema.items():
        if kind == pl.Object:
            raise InputError(
                f"{name}: column {column}: it holds Python objects; allowed: texts, numbers, lists"
            )
    frame.write_parquet(path)
    return path


def toml_file(settings: "str | Path | Mapping[str, Any]", name: str, path: Path) -> Path:
    """Return the file that `settings` is the path or the name of, or write a mapping as TOML to `path`."""
    if isinstance(settings, str | Path):
        return Path(settings)
    if not isinstance(settings, Mapping):
        raise InputError(f"{name}: got {format_value(settings)}; allowed: a path, or the content as a dict")
    try:
        path.write_text(tomli_w.dumps(settings))
    except TypeError as error:
        raise InputError(f"{name}: it cannot be written as TOML: {error}") from None
    return path
