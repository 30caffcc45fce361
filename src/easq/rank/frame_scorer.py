"""Score a table of candidates in batches: what the live service would serve, without logging anything.

A row is one candidate for one viewer. Columns named like features of the recipe are their values; what is not
there is looked up as the service looks it up, or is unknown. Rows that follow each other with one viewer and
equal viewer features are one request. Shapes: N rows, B requests.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from easq.arrays import F32, I64
from easq.errors import InputError, format_value
from easq.features.columns import Columns, List, Shape, empty, stack
from easq.features.encode import ServingEncoder
from easq.log.packing import LARGEST_FLOAT
from easq.rank.engine import Knowledge
from easq.rank.parameters import Parameters
from easq.recipe.features import Feature, History, Number, Vector
from easq.recipe.recipe import Recipe
from easq.sources.datasets.cells import id_lists, ids, vectors

USER, ITEM, SCORE = "user_id", "item_id", "score"


class FrameScorer:
    """Scores tables with fixed parameters, and with `knowledge` of viewers and items as of `ts` (ms).

    Without knowledge, features that a table lacks are unknown.
    """

    def __init__(
        self, recipe: Recipe, parameters: Parameters, knowledge: Knowledge | None = None, ts: int = 0
    ) -> None:
        self._parameters, self._knowledge, self._ts = parameters, knowledge, ts
        self._encoder = ServingEncoder(recipe.features, recipe.row_salt)
        self._features = {f.name: f for f in recipe.features}
        self._viewer = TableSide(self._encoder.viewer_shape)
        self._candidate = TableSide(self._encoder.candidate_shape)

    def check(self, names: Sequence[str]) -> list[str]:
        """Return the features of which these columns hold nothing.

        Raises InputError for a table that lacks viewers or items, or that has scores already.
        """
        for needed in (USER, ITEM):
            if needed not in names:
                raise InputError(f"column {needed}: it is missing; the table has {', '.join(names)}")
        if SCORE in names:
            raise InputError(f"column {SCORE}: it is there already, and would be overwritten; rename it")
        return [name for name in self._features if name not in names]

    def score(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return the table with the column `score`.

        Raises InputError, naming the column, for a value that its feature cannot have.
        """
        if not len(table):
            return table.with_columns(pl.lit(None, pl.Float32).alias(SCORE))
        for name in (USER, ITEM):
            if table[name].null_count():
                raise InputError(f"column {name}: row {table[name].is_null().arg_max()} of a batch has none")
        user_N, item_N = (table[name].cast(pl.String) for name in (USER, ITEM))
        of_viewer = [name for name in self._viewer.names if name in table.columns and name != USER]
        request_N = _runs(table.select(USER, *of_viewer))
        first_B = np.flatnonzero(np.diff(request_N, prepend=-1))
        viewer = self._viewer.put(self._viewers(user_N[first_B].to_list()), table[first_B])
        candidates = self._candidate.put(self._items(item_N.to_list()), table)
        rows = self._encoder.encode_requests(viewer, candidates, request_N)
        return table.with_columns(pl.Series(SCORE, self._parameters.score(rows)))

    def _viewers(self, users: list[str]) -> Columns:
        shape = self._encoder.viewer_shape
        if self._knowledge is None:
            return empty(shape, len(users))
        known: dict[str, Columns] = {}
        for user in users:
            if user not in known:
                known[user] = self._knowledge.viewer(user, self._ts)
        return stack([known[user] for user in users])

    def _items(self, items: list[str]) -> Columns:
        if self._knowledge is None:
            return empty(self._encoder.candidate_shape, len(items))
        return self._knowledge.candidates(items, self._ts)


class TableSide:
    """Puts the columns of a table in the place of what is known of one side."""

    def __init__(self, shape: Shape) -> None:
        self._shape, self.names = shape, shape.names

    def put(self, known: Columns, table: pl.DataFrame) -> Columns:
        """Return what is known, with the table's columns in the place of its own; changes arrays in place."""
        for k, single in enumerate(self._shape.singles):
            if single.name in table.columns:
                known.ids_NK[:, k] = ids(table[single.name]).to_numpy()
        for m, number in enumerate(self._shape.numbers):
            if number.name in table.columns:
                known.numbers_NM[:, m] = _numbers(table[number.name], number)
        lists = tuple(
            _lists(table[feature.name], feature) if feature.name in table.columns else own
            for feature, own in zip(self._shape.lists, known.lists, strict=True)
        )
        vectors = tuple(
            _vectors(table[feature.name], feature) if feature.name in table.columns else own
            for feature, own in zip(self._shape.vectors, known.vectors, strict=True)
        )
        return Columns(known.ids_NK, known.numbers_NM, lists, vectors)


def _runs(table: pl.DataFrame) -> I64:
    """Return the number of the run of equal rows that each row belongs to."""
    run = table.select(pl.struct(pl.all()).rle_id()).to_series()
    return run.to_numpy().astype(np.int64)


def _numbers(column: pl.Series, feature: Number) -> np.ndarray:
    try:
        value_N = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    except pl.exceptions.PolarsError:
        text = next(v for v in column if not isinstance(v, int | float | None))
        raise InputError(f"column {feature.name}: got {format_value(text)}; allowed: numbers") from None
    wrong_N = np.abs(value_N) > LARGEST_FLOAT
    if wrong_N.any():
        raise InputError(
            f"column {feature.name}: got {float(value_N[wrong_N][0]):g}; allowed: finite numbers of 32 bits"
        )
    return value_N.astype(np.float32)


def _lists(column: pl.Series, feature: Feature) -> List:
    if column.dtype != pl.List:
        raise InputError(f"column {feature.name}: got {column.dtype}; allowed: lists of texts or integers")
    length = getattr(feature, "length", 1)
    cut = column.list.tail(length) if isinstance(feature, History) else column.list.head(length)
    packed = id_lists(cut.cast(pl.List(pl.String)), ",")
    count_N = packed.list.len().to_numpy().astype(np.int64)
    ids_NL = np.zeros((len(packed), length), np.int64)
    ids_NL[np.arange(length) < count_N[:, None]] = packed.explode().drop_nulls().to_numpy()
    return List(ids_NL, count_N)


def _vectors(column: pl.Series, feature: Vector) -> F32:
    vector_ND, is_wrong_N = vectors(column, feature.dim)
    if is_wrong_N.any():
        wrong = format_value(column.to_list()[int(is_wrong_N.argmax())])
        allowed = f"lists of {feature.dim} finite numbers of 32 bits"
        raise InputError(f"column {feature.name}: got {wrong}; allowed: {allowed}")
    return vector_ND
