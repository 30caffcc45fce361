"""The rows of a bench on disk: one small file a cell, there whole or not at all."""

import hashlib
import json
from pathlib import Path
from typing import TypedDict

import msgspec

from easq.errors import InputError
from easq.home.files import replace_file


class MetricRow(TypedDict):
    """One metric of one method on one world."""

    method: str
    scenario: str
    seed: int
    metric: str
    value: float


def read_rows(path: Path) -> list[MetricRow]:
    """Return the rows in a file as a bench writes it. Raises InputError for one that holds none."""
    try:
        found: list[MetricRow] = msgspec.json.decode(path.read_bytes(), type=list[MetricRow])
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{path} holds no rows of a bench: {error}") from None
    return found


class RowStore:
    """Rows by cell in a folder. A cell's name is the digest of all that its rows depend on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "cells"
        self._folder.mkdir(parents=True, exist_ok=True)

    def has(self, key: str) -> bool:
        """Say whether a cell is done."""
        return self._path(key).exists()

    def put(self, key: str, rows: list[MetricRow]) -> None:
        """Keep the rows of a cell."""
        replace_file(self._path(key), json.dumps(rows, indent=0) + "\n")

    def get(self, key: str) -> list[MetricRow]:
        """Return the rows of a cell that is done."""
        rows: list[MetricRow] = json.loads(self._path(key).read_text())
        return rows

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def digest(*parts: object) -> str:
    """Return a name for what the parts say."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:20]
