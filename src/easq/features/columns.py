"""Raw feature values as arrays, one row per candidate or viewer, as they are scored and logged.

The values of a live request's candidates are gathered in a few array operations, whatever the number of
features. Shapes: N rows, K single ids (categorical), M numbers, L entries of a list, D numbers of a vector.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from easq.arrays import F32, I64
from easq.log.ids import stable_id
from easq.log.packing import COUNT, FLOAT, ID, Column
from easq.recipe.features import Categorical, Feature, History, Multi, Number, Vector
from easq.recipe.values import Side

LONGEST = int(np.iinfo(COUNT).max)
"""The most entries that a list may have when it arrives, however few of them are used: 65,535."""

UNKNOWN = stable_id("\0unknown")
"""The id of a missing categorical value, which trains its own embedding."""


@dataclass(frozen=True)
class Shape:
    """The features of one side by kind, each kind in the order of the recipe."""

    singles: tuple[Categorical, ...]
    numbers: tuple[Number, ...]
    lists: tuple[Multi | History, ...]
    vectors: tuple[Vector, ...]

    @staticmethod
    def of(features: Sequence[Feature], side: Side) -> "Shape":
        """Return the shape of one side. Histories belong to the viewer."""
        own = [f for f in features if ("viewer" if isinstance(f, History) else f.side) == side]
        return Shape(
            tuple(f for f in own if isinstance(f, Categorical)),
            tuple(f for f in own if isinstance(f, Number)),
            tuple(f for f in own if isinstance(f, Multi | History)),
            tuple(f for f in own if isinstance(f, Vector)),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all features of the side."""
        return tuple(f.name for f in (*self.singles, *self.numbers, *self.lists, *self.vectors))


class List(NamedTuple):
    """A multi-valued feature: the first `count_N` ids of each row of `ids_NL` are used.

    Histories are ordered oldest first.
    """

    ids_NL: I64
    count_N: I64


@dataclass(frozen=True)
class Columns:
    """Raw values of N rows, in the order of a `Shape`. Missing values are UNKNOWN, NaN or an empty list.

    `vectors` are one array (N x D) for each vector; a missing one is NaN throughout.
    """

    ids_NK: I64
    numbers_NM: F32
    lists: tuple[List, ...]
    vectors: tuple[F32, ...] = ()

    def __len__(self) -> int:
        return len(self.ids_NK)

    def take(self, row_A: I64) -> "Columns":
        """Return some rows."""
        lists = tuple(List(x.ids_NL[row_A], x.count_N[row_A]) for x in self.lists)
        vectors = tuple(vector_ND[row_A] for vector_ND in self.vectors)
        return Columns(self.ids_NK[row_A], self.numbers_NM[row_A], lists, vectors)

    def pack(self, shape: Shape) -> tuple[dict[str, Column], dict[str, Column]]:
        """Return the packed columns of a `Request`, and the lengths of the multi-valued ones."""
        # Transposed in memory, so that packing a feature is one copy.
        ids_KN = self.ids_NK.T.astype(ID, order="C")
        numbers_MN = self.numbers_NM.T.astype(FLOAT, order="C")
        packed = {f.name: ids_KN[k].tobytes() for k, f in enumerate(shape.singles)}
        packed |= {f.name: numbers_MN[m].tobytes() for m, f in enumerate(shape.numbers)}
        lengths = {}
        for feature, (ids_NL, count_N) in zip(shape.lists, self.lists, strict=True):
            is_filled = np.arange(ids_NL.shape[1]) < count_N[:, None]
            packed[feature.name] = ids_NL[is_filled].astype(ID).tobytes()
            lengths[feature.name] = count_N.astype(COUNT).tobytes()
        for vector, value_ND in zip(shape.vectors, self.vectors, strict=True):
            packed[vector.name] = value_ND.astype(FLOAT).tobytes()
        return packed, lengths


def stack(parts: Sequence[Columns]) -> Columns:
    """Return the rows of several columns of one shape, in order."""
    lists = []
    for same in zip(*(part.lists for part in parts), strict=True):
        width = max(one.ids_NL.shape[1] for one in same)
        ids_NL = np.concatenate([np.pad(x.ids_NL, ((0, 0), (0, width - x.ids_NL.shape[1]))) for x in same])
        lists.append(List(ids_NL, np.concatenate([one.count_N for one in same])))
    vectors = zip(*(part.vectors for part in parts), strict=True)
    return Columns(
        np.concatenate([part.ids_NK for part in parts]),
        np.concatenate([part.numbers_NM for part in parts]),
        tuple(lists),
        tuple(np.concatenate(same) for same in vectors),
    )


def empty(shape: Shape, num_rows: int) -> Columns:
    """Return rows of missing values. Lists are as wide as the model reads them."""
    return Columns(
        np.full((num_rows, len(shape.singles)), UNKNOWN, np.int64),
        np.full((num_rows, len(shape.numbers)), np.nan, np.float32),
        tuple(
            List(np.zeros((num_rows, f.length), np.int64), np.zeros(num_rows, np.int64)) for f in shape.lists
        ),
        tuple(np.full((num_rows, f.dim), np.nan, np.float32) for f in shape.vectors),
    )


def unpack(
    shape: Shape, columns: Mapping[str, Column], lengths: Mapping[str, Column], num_rows: int
) -> Columns:
    """Return logged columns as arrays, the inverse of `Columns.pack`. Without lengths, a list is one row.

    A feature without a column is unknown.
    """
    lists = []
    for feature in shape.lists:
        ids = np.frombuffer(columns.get(feature.name, b""), ID)
        packed = lengths.get(feature.name)
        if packed is None and feature.name not in columns:
            packed = bytes(COUNT.itemsize * num_rows)
        count_N = np.array([len(ids)]) if packed is None else np.frombuffer(packed, COUNT).astype(np.int64)
        ids_NL = np.zeros((num_rows, max(feature.length, int(count_N.max(initial=0)))), np.int64)
        ids_NL[np.arange(ids_NL.shape[1]) < count_N[:, None]] = ids
        lists.append(List(ids_NL, count_N))
    unknown = (np.full(num_rows, UNKNOWN).tobytes(), np.full(num_rows, np.nan, FLOAT).tobytes())
    singles = [np.frombuffer(columns.get(f.name, unknown[0]), ID) for f in shape.singles]
    numbers = [np.frombuffer(columns.get(f.name, unknown[1]), FLOAT) for f in shape.numbers]
    return Columns(
        np.stack(singles, 1) if singles else np.zeros((num_rows, 0), np.int64),
        np.stack(numbers, 1) if numbers else np.zeros((num_rows, 0), np.float32),
        tuple(lists),
        tuple(_vectors(columns.get(f.name), f, num_rows) for f in shape.vectors),
    )


def _vectors(column: Column | None, feature: Vector, num_rows: int) -> F32:
    if column is None:
        return np.full((num_rows, feature.dim), np.nan, np.float32)
    return np.frombuffer(column, FLOAT).reshape(num_rows, feature.dim)
