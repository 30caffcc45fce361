"""The file beside a log with the rows that imports could not use, or could use only in part."""

from pathlib import Path


def rejects_of(log: Path) -> Path:
    """Return where imports into a log write such rows."""
    return log.with_name(log.name + ".rejects.jsonl")


def remove_rejects(log: Path) -> list[str]:
    """Remove that file, which holds whole rows of viewers; return its path, nothing if there is none.

    Of a log that is named by a link, what lies beside the link goes too.
    """
    places = dict.fromkeys((rejects_of(log), rejects_of(log.resolve())))
    removed = [place for place in places if place.exists()]
    for place in removed:
        place.unlink()
    return [str(place) for place in removed]
