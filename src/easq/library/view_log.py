"""Logs of views, made from tables or opened."""

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from easq.errors import InputError, InputWarning
from easq.library.frames import Table, is_path, toml_file, write_frame
from easq.library.scratch import PREFIX, new_folder, remove_with
from easq.recipe.packaged import located
from easq.sources.datasets import load

_LEFT_OUT = {
    "rejected": "rows left out",
    "rejected_answers": "answers left out",
    "rejected_cells": "cells taken as empty",
}


class ViewLog:
    """An event log: who saw, did and said what, in the order of time.

    path     the log's file. One that was made without a path is removed with this object.
    counts   of the import, as `easq import --json` has them; empty for a log that was opened.
    """

    def __init__(self, path: Path, counts: Mapping[str, Any] | None = None) -> None:
        self.path, self.counts = path, dict(counts or {})

    def __repr__(self) -> str:
        """Return the file and what was imported to it."""
        if not self.counts:
            return f"<ViewLog {self.path}>"
        views, answers = self.counts["views"], self.counts["answers"]
        return f"<ViewLog {self.path}: {views:,} views, {answers:,} answers>"


def read_table(
    data: Table, mapping: str | Path | Mapping[str, Any], *, path: str | Path | None = None
) -> ViewLog:
    """Import a table of views, one view in each row, and return its log.

    data      a frame of polars, pandas (2.2 or later, with pyarrow) or pyarrow, or the path of a file, a
              folder or a glob of CSV, Parquet or JSON lines.
    mapping   which column is what: a TOML file, the name of a packaged one, or its content as a dict.
    path      where the log is written. A log that is there already is added to. Not given: a temporary file.

    Rows that cannot be used are written to `<log>.rejects.jsonl`, and an InputWarning counts them; another
    one tells where behavior contradicts the order of the options. Raises InputError for a wrong mapping, for
    a missing column, and if no row can be used.
    """
    if path is None:
        with new_folder() as folder:
            result = _import(data, mapping, folder / "events.log")
        remove_with(result, folder)
    else:
        result = _import(data, mapping, Path(path))
    for key, what in _LEFT_OUT.items():
        for reason, number in result.counts[key].items():
            rejects = result.counts["rejects"]
            warnings.warn(f"{what}, {reason}: {number:,}; see {rejects}", InputWarning, stacklevel=2)
    for doubt in result.counts["order_doubt"]:
        warnings.warn(doubt["text"], InputWarning, stacklevel=2)
    return result


def open_log(path: str | Path) -> ViewLog:
    """Return a log that `easq import` or a live system wrote. Raises InputError if there is none."""
    if not Path(path).is_file():
        raise InputError(f"path: there is no log at {path}; read_table makes one, and so does `easq import`")
    return ViewLog(Path(path))


def _import(data: Table, mapping: str | Path | Mapping[str, Any], log: Path) -> ViewLog:
    with _as_files(data, mapping) as (table, declared):
        return ViewLog(log, load("table", table, log, declared))


@contextmanager
def _as_files(data: Table, mapping: str | Path | Mapping[str, Any]) -> Iterator[tuple[Path, Path]]:
    """Yield data and mapping as files, which importing reads; errors name the arguments."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as scratch:
        written = {name: Path(scratch) / name for name in ("mapping.toml", "data.parquet")}
        declared = located(toml_file(mapping, "mapping", written["mapping.toml"]))
        table = Path(data) if is_path(data) else write_frame(data, "data", written["data.parquet"])
        try:
            yield table, declared
        except InputError as error:
            text = str(error)
            for name, file in written.items():
                text = text.replace(str(file), name.partition(".")[0])
            raise InputError(text) from None
