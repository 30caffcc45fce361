"""Real logs in their own formats, turned into events."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from easq.errors import InputError

if TYPE_CHECKING:  # loaded when a data set is
    from easq.sources.datasets.rejected_rows import Rejects

LOADERS = ("kuairand", "eeg_svrec", "table")


def load(
    loader: str,
    path: Path,
    log: Path,
    mapping: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda *_: None,
    rejects: Path | None = None,
) -> dict[str, Any]:
    """Import the data set at `path` into the log file `log`, and return the counts.

    Rows that cannot be used are written to `rejects`, `<log>.rejects.jsonl` if not given. Raises InputError
    for an unknown loader, an unexpected or missing mapping, data of another format, and data of which no
    row can be used.
    """
    import msgspec

    from easq.log.rejects import rejects_of
    from easq.log.sqlite import SqliteLog
    from easq.sources.datasets.base import import_events
    from easq.sources.datasets.eeg_svrec import load_eeg_svrec
    from easq.sources.datasets.kuairand import load_kuairand
    from easq.sources.datasets.table import load_table

    if loader not in LOADERS:
        raise InputError(f"loader: got {loader!r}; allowed: {', '.join(LOADERS)}")
    if loader != "table" and mapping is not None:
        raise InputError(f"mapping: got {mapping}, but only the loader table reads one, not {loader}")
    rejects = rejects or rejects_of(log)
    if loader == "kuairand":
        loaded = load_kuairand(path, rejects)
    elif loader == "eeg_svrec":
        loaded = load_eeg_svrec(path, rejects)
    elif mapping is None:
        raise InputError("mapping: the loader table needs a TOML file that says which column is what")
    else:
        with SqliteLog(log) if log.exists() else nullcontext() as events_so_far:
            loaded = load_table(path, mapping, rejects, events_so_far)
    if not loaded.rejects.used:
        raise InputError(f"{path}: no row of {_reasons(loaded.rejects)}; each stands in {rejects}")
    with SqliteLog(log) as events:
        summary = import_events(events, loaded, on_progress)
    return {
        "rows": summary.rows_read,
        "written": summary.written,
        "older": summary.older,
        "changed": summary.changed,
        "requests": summary.requests,
        "views": summary.views,
        "asks": summary.asks,
        "answers": sum(summary.answers.values()),
        "options": summary.answers,
        "rejected": summary.rejected,
        "rejected_answers": summary.rejected_answers,
        "rejected_cells": summary.rejected_cells,
        "cell_examples": summary.cell_examples,
        "order_doubt": [{**msgspec.structs.asdict(doubt), "text": str(doubt)} for doubt in loaded.doubts],
        "passed_over": loaded.rejects.passed_over,
        "rejects": str(rejects),
        "log": str(log),
    }


def _reasons(rejects: "Rejects") -> str:
    counts = ", ".join(f"{reason} {number:,}" for reason, number in sorted(rejects.rows.items()))
    is_time = any(reason.startswith(("before_1980_", "in_the_future_")) for reason in rejects.rows)
    hint = "; is columns.time_unit of the mapping the unit of these times?" if is_time else ""
    return f"{rejects.read:,} can be used ({counts or 'there are none'}{hint})"
