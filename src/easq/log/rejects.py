"""The files that imports leave beside a log: rows that they could not use, and logs that are not whole."""

from glob import escape
from pathlib import Path


def rejects_of(log: Path) -> Path:
    """Return where imports into a log write the rows that they could not use, or could use only in part."""
    return log.with_name(log.name + ".rejects.jsonl")


def unfinished_of(log: Path) -> Path:
    """Return the name that a log has until the import that makes it is through."""
    return log.with_name("new-" + log.name)


def remove_rejects(log: Path) -> list[str]:
    """Remove these files, which hold whole rows of viewers; return the paths, nothing if there are none.

    Of a log that is named by a link, what lies beside the link goes too.
    """
    removed = []
    for place in dict.fromkeys((log, log.resolve())):
        unfinished = unfinished_of(place)
        found = [rejects_of(place), *sorted(unfinished.parent.glob(f"{escape(unfinished.name)}*"))]
        removed += [path for path in found if path.exists()]
    for path in removed:
        path.unlink()
    return [str(path) for path in removed]
