"""Import a data set as the whole content of a log: what was there stays until the import is through."""

import json
from collections.abc import Callable
from glob import escape
from pathlib import Path
from typing import Any

from easq.home.files import replace_file
from easq.log.rejects import rejects_of, unfinished_of
from easq.sources.datasets import load


def import_whole(
    loader: str,
    data: Path,
    log: Path,
    mapping: Path | None,
    note: Path,
    noted: Callable[[dict[str, Any]], Any],
    on_progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Replace `log` by an import of `data`; return its counts.

    The import has another name first, so that a log of that name is a whole one. `note` is a JSON file of
    what the log was made of, which `noted` tells from the counts. Raises InputError if the data cannot be
    used, and then the log and the note are as they were.
    """
    part = unfinished_of(log)
    _remove_all(part)
    summary = load(loader, data, part, mapping, on_progress)
    # First what was imported before, so that it is never taken for what is noted.
    _remove_all(log)
    replace_file(note, json.dumps(noted(summary)))
    rejects_of(part).rename(rejects_of(log))
    part.rename(log)
    return {**summary, "log": str(log), "rejects": str(rejects_of(log))}


def _remove_all(log: Path) -> None:
    for old in log.parent.glob(f"{escape(log.name)}*"):
        old.unlink()
