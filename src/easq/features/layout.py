"""Where features stand: columns of each side's matrix of rows, and rows of the embedding table.

Embedding row 0 is the padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from easq.recipe.features import Dense, Feature, History, Multi, Numeric, Score, Vector, is_dense


@dataclass(frozen=True)
class Slot:
    """A feature's place: columns `start:stop` of its side's matrix, and its rows of the embedding table.

    `salt` says how ids are spread over these rows.
    """

    feature: Feature
    offset: int
    num_rows: int
    start: int
    stop: int
    salt: int


class DenseSlot(NamedTuple):
    """A dense feature's place: columns `start:stop` of its side's matrix of numbers."""

    feature: Dense
    start: int
    stop: int


@dataclass(frozen=True)
class Layout:
    """The columns of both sides, and the rows of the embedding table that all features share.

    `scores` are features of candidates that are no row of the table: numbers, kept as they are. Dense
    features are no row of the table either: they stand in a matrix of numbers for each side.
    """

    viewer: tuple[Slot, ...]
    candidate: tuple[Slot, ...]
    num_rows: int
    scores: tuple[Score, ...] = ()
    viewer_dense: tuple[DenseSlot, ...] = ()
    candidate_dense: tuple[DenseSlot, ...] = ()

    @staticmethod
    def of(features: Sequence[Feature], row_salt: int) -> "Layout":
        """Lay out features, single-valued ones first. A history shares the rows of its target.

        `row_salt` is that of the recipe.
        """
        offset, tables = 1, {}
        scores = tuple(f for f in features if isinstance(f, Score))
        embedded = [f for f in features if not isinstance(f, Score | Vector) and not is_dense(f)]
        for feature in embedded:
            if not isinstance(feature, History):
                size = len(feature.fixed) + 2 if isinstance(feature, Numeric) else feature.rows
                tables[feature.name] = (offset, size)
                offset += size
        columns: dict[str, list[Slot]] = {"viewer": [], "candidate": []}
        for feature in sorted(embedded, key=lambda f: isinstance(f, Multi | History)):
            side = "viewer" if isinstance(feature, History) else feature.side
            table = tables[feature.of if isinstance(feature, History) else feature.name]
            slots = columns[side]
            start = slots[-1].stop if slots else 0
            width = feature.length if isinstance(feature, Multi | History) else 1
            slots.append(Slot(feature, *table, start, start + width, _salt(table[0], row_salt)))
        dense = [f for f in features if is_dense(f)]
        return Layout(
            tuple(columns["viewer"]),
            tuple(columns["candidate"]),
            offset,
            scores,
            _dense([f for f in dense if f.side == "viewer"]),
            _dense([f for f in dense if f.side == "candidate"]),
        )

    @property
    def dense_widths(self) -> tuple[int, int]:
        """How many numbers the dense features of viewer and candidate are."""
        viewer, candidate = self.viewer_dense, self.candidate_dense
        return viewer[-1].stop if viewer else 0, candidate[-1].stop if candidate else 0


def _dense(features: Sequence[Dense]) -> tuple[DenseSlot, ...]:
    widths = [f.dim if isinstance(f, Vector) else 1 for f in features]
    stops = accumulate(widths)
    return tuple(DenseSlot(f, n - w, n) for f, w, n in zip(features, widths, stops, strict=True))


def _salt(offset: int, row_salt: int) -> int:
    # Histories share their target's rows, so it is the offset in the table that tells features apart, and not
    # the name.
    return (offset * 0x9E3779B97F4A7C15 + row_salt) & 0xFFFFFFFFFFFFFFFF
