"""A live system whose log begins with a table: `easq up --from`."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from easq.errors import InputError
from easq.home.home import Home
from easq.home.renewal import num_events
from easq.sources.datasets.fingerprint import fingerprint
from easq.sources.datasets.whole_import import import_whole


def begin_with(
    home: Home, table: Path, mapping: Path, on_progress: Callable[[int, int], None]
) -> dict[str, Any] | None:
    """Import a table into the log of a stopped home that holds no event; return the counts.

    None: the log is that of an earlier start with the same table, and nothing else. Raises InputError for a
    home that holds other events, while a role runs, and for a table that cannot be used.
    """
    log, note, found = home.folder / "events.log", home.folder / "history.json", fingerprint(table, mapping)
    with ExitStack() as locks:
        for role in ("service", "learner"):
            locks.enter_context(home.lock(role))
        if held := num_events(home.folder):
            before = json.loads(note.read_text()) if note.exists() else {}
            if before == {**found, "events": held}:
                return None
            raise InputError(
                f"--from: {home.folder} holds {held:,} events already, and a history comes before all "
                "others. Leave out --from to go on with this home, or choose another --home"
            )

        def noted(summary: dict[str, Any]) -> dict[str, Any]:
            return {**found, "events": summary["written"]}

        return import_whole("table", table, log, mapping, note, noted, on_progress)
