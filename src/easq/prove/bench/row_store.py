"""The rows of a bench on disk: one small file per cell, written atomically."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import msgspec
import polars as pl

from easq.errors import InputError
from easq.home.files import replace_file

_COLUMNS = {
    "method": pl.String, "scenario": pl.String, "seed": pl.Int64, "metric": pl.String, "value": pl.Float64
}  # fmt: skip


class MetricRow(TypedDict):
    """One metric of one method on one world."""

    method: str
    scenario: str
    seed: int
    metric: str
    value: float


def read_rows(path: Path) -> list[MetricRow]:
    """Return the rows of a JSON or Parquet file of a bench. Raises InputError for one that holds none."""
    try:
        data = path.read_bytes()
        plain = pl.read_parquet(data).to_dicts() if path.suffix == ".parquet" else msgspec.json.decode(data)
        return msgspec.convert(plain, type=list[MetricRow])
    except (OSError, msgspec.DecodeError, msgspec.ValidationError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path} holds no rows of a bench: {error}") from None


def write_rows(path: Path, rows: Sequence[MetricRow]) -> None:
    """Write rows as compressed Parquet, sorted by method, scenario, seed and metric."""
    order = ["method", "scenario", "seed", "metric"]
    table = pl.DataFrame(rows, schema=_COLUMNS).sort(order, maintain_order=True)
    part = path.with_name(f".{path.name}.part")
    table.write_parquet(part, compression="zstd", compression_level=19, statistics=False)
    part.replace(path)


class RowStore:
    """Rows by cell in a folder. A cell's name is the digest of all that its rows depend on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "cells"
        self._folder.mkdir(parents=True, exist_ok=True)

    def has(self, key: str) -> bool:
        """Return whether a cell is done."""
        return self._path(key).exists()

    def put(self, key: str, rows: list[MetricRow]) -> None:
        """Store the rows of a cell, and remove what a bench killed while it wrote them left behind."""
        replace_file(self._path(key), json.dumps(rows, indent=0) + "\n")
        for part in self._folder.glob(f".{key}.json.*.part"):
            part.unlink(missing_ok=True)

    def get(self, key: str) -> list[MetricRow]:
        """Return the rows of a cell that is done."""
        rows: list[MetricRow] = json.loads(self._path(key).read_text())
        return rows

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def digest(*parts: object) -> str:
    """Return a name made of the parts' content."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:20]
