"""Where features stand: columns of each side's matrix of rows, and rows of the embedding table.

Embedding row 0 is the padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from easq.recipe.features import Feature, History, Multi, Numeric, Score


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


@dataclass(frozen=True)
class Layout:
    """The columns of both sides, and the rows of the embedding table that all features share.

    `scores` are features of candidates that are no row of the table: numbers, kept as they are.
    """

    viewer: tuple[Slot, ...]
    candidate: tuple[Slot, ...]
    num_rows: int
    scores: tuple[Score, ...] = ()

    @staticmethod
    def of(features: Sequence[Feature], row_salt: int) -> "Layout":
        """Lay out features, single-valued ones first. A history shares the rows of its target.

        `row_salt` is that of the recipe.
        """
        offset, tables = 1, {}
        scores = tuple(f for f in features if isinstance(f, Score))
        embedded = [f for f in features if not isinstance(f, Score)]
        for feature in embedded:
            if not isinstance(feature, History):
                size = len(feature.boundaries) + 2 if isinstance(feature, Numeric) else feature.rows
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
        return Layout(tuple(columns["viewer"]), tuple(columns["candidate"]), offset, scores)


def _salt(offset: int, row_salt: int) -> int:
    # Histories share their target's rows, so it is the offset in the table that tells features apart, and not
    # the name.
    return (offset * 0x9E3779B97F4A7C15 + row_salt) & 0xFFFFFFFFFFFFFFFF
