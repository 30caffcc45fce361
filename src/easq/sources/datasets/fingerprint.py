"""What tells whether data are the same ones: the names, the sizes and the content of their files."""

import hashlib
from pathlib import Path
from typing import Any

from easq.sources.datasets.sources import files_at

Entry = list[Any]
"""A file's name, its size and the digest of its content, as JSON keeps them."""


def fingerprint(data: Path, mapping: Path | None) -> dict[str, list[Entry]]:
    """Return the entries of all files of a data set (a file, a folder or a glob), and that of its mapping."""
    files = [_entry(file) for file in files_at(data)]
    # One that is missing is told by who reads it.
    mappings = [_entry(mapping)] if mapping is not None and mapping.is_file() else []
    return {"files": files, "mapping": mappings}


def differing(one: dict[str, list[Entry]], other: dict[str, list[Entry]]) -> list[str]:
    """Return the names of the files that two fingerprints do not share."""
    names: set[str] = set()
    for part in ("mapping", "files"):
        before, after = one[part], other[part]
        names |= {entry[0] for entry in (*before, *after) if entry not in before or entry not in after}
    return sorted(names)


def _entry(file: Path) -> Entry:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=16))
    return [file.name, file.stat().st_size, digest.hexdigest()]
