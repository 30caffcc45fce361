"""A call to rank: the viewer, the candidates, and feature values that come with the call, parsed to arrays.

A value that comes with the call goes before what is stored. Candidates' values come by feature, as columns in
the order of the candidates. Shapes: N candidates, or the one viewer.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, I64
from easq.errors import InputError, first_unknown, format_value
from easq.features.columns import LONGEST, UNKNOWN, Columns, List, Shape
from easq.features.vector_values import parse_vectors
from easq.log.ids import category_ids
from easq.log.packing import FLOAT, ID
from easq.recipe.features import Feature, History, Multi

MOST_SHOWN = 200
"""Items that a caller may show in an order of its own. All are logged, and kept while answers may come."""

Scalar = int | float | str | None
FeatureColumn = list[Scalar | bytes | list[int | str | float]] | bytes
"""A column: one entry per candidate, or in MessagePack its packed bytes (int64 ids, float32 numbers and
vectors)."""


class Query(msgspec.Struct, forbid_unknown_fields=True):
    """Rank these candidates for this viewer.

    `context` holds viewer features by name, `features` columns of candidate features by name; `limit`
    is how many to return. `shown` are candidates that the caller shows, in this order, whatever the ranking
    is: then it is made in the shadow.
    """

    user_id: str
    candidates: list[str]
    context: dict[str, Scalar | bytes | list[int | str | float]] = {}
    features: dict[str, FeatureColumn] = {}
    limit: int | None = None
    shown: list[str] | None = None


class FeatureValues(NamedTuple):
    """Values of some features of one side: arrays by the feature's place among its kind in a `Shape`."""

    singles: dict[int, I64]
    numbers: dict[int, F32]
    lists: dict[int, List]
    vectors: dict[int, F32]

    def put_into(self, columns: Columns) -> Columns:
        """Return the columns with these values in the place of their own; changes arrays in place."""
        for k, ids_N in self.singles.items():
            columns.ids_NK[:, k] = ids_N
        for m, number_N in self.numbers.items():
            columns.numbers_NM[:, m] = number_N
        if not (self.lists or self.vectors):
            return columns
        lists = tuple(self.lists.get(n, own) for n, own in enumerate(columns.lists))
        vectors = tuple(self.vectors.get(n, own) for n, own in enumerate(columns.vectors))
        return Columns(columns.ids_NK, columns.numbers_NM, lists, vectors)


class ParsedQuery(NamedTuple):
    """A query whose every part was checked; `context` has one row, `features` one for each candidate.

    `shown_S` are the places among the candidates of what the caller shows; None if it shows the ranking.
    """

    user_id: str
    candidates: list[str]
    context: FeatureValues
    features: FeatureValues
    limit: int | None
    shown_S: I64 | None


class Decoder(Protocol):
    """Decodes feature values once it is known which feature they belong to."""

    def value(self, value: Any, feature: Feature, place: str) -> Any:
        """Return one value, decoded; raise InputError, naming the place, if the feature cannot have it."""
        ...

    def column(self, column: Any, feature: Feature, num_rows: int, place: str) -> Any:
        """Return a column, decoded; raise InputError, naming the place, if the feature cannot have it."""
        ...


class PlainValues:
    """The decoder of values that are Python objects already."""

    def value(self, value: Any, feature: Feature, place: str) -> Any:  # noqa: ARG002 - part of Decoder
        """Return the value."""
        return value

    def column(self, column: Any, feature: Feature, num_rows: int, place: str) -> Any:  # noqa: ARG002
        """Return the column."""
        return column


_PLAIN = PlainValues()
_NOTHING = FeatureValues({}, {}, {}, {})


class QueryParser:
    """Checks queries and parses their feature values, once, to what the engine scores."""

    def __init__(self, viewer: Shape, candidate: Shape) -> None:
        self._viewer, self._candidate = viewer, candidate

    def parse(
        self,
        user_id: str,
        candidates: list[str],
        context: Mapping[str, Any],
        features: Mapping[str, Any],
        limit: int | None,
        decoder: Decoder = _PLAIN,
        shown: list[str] | None = None,
    ) -> ParsedQuery:
        """Return the parsed query; raise InputError, naming the field, what was given and what is allowed."""
        _check(candidates, limit)
        num_rows = len(candidates)

        def row(value: Any, feature: Feature, place: str) -> Any:
            return [decoder.value(value, feature, place)]

        def column(values: Any, feature: Feature, place: str) -> Any:
            return decoder.column(values, feature, num_rows, place)

        viewer = _parse(context, self._viewer, 1, "context", row) if context else _NOTHING
        candidate = _parse(features, self._candidate, num_rows, "features", column) if features else _NOTHING
        shown_S = None if shown is None else _places(shown, candidates)
        return ParsedQuery(user_id, candidates, viewer, candidate, limit, shown_S)


class _Column(Protocol):
    def __call__(self, values: Any, feature: Feature, place: str, /) -> Any:
        """Return the decoded column of a feature."""
        ...


def check_num_rows(num: int, num_rows: int, place: str) -> None:
    """Raise InputError unless a column has a value for each row."""
    if num != num_rows:
        raise InputError(f"{place}: got {num} values; allowed: one value for each of {num_rows}")


def _check(candidates: Sequence[str], limit: int | None) -> None:
    if not candidates:
        raise InputError("candidates: got none; allowed: at least one item id")
    _check_once(candidates, "candidates")
    if limit is not None and limit < 1:
        raise InputError(f"limit: got {limit}; allowed: 1 or more")


def _check_once(items: Sequence[str], field: str) -> None:
    if len(set(items)) != len(items):
        twice, _ = Counter(items).most_common(1)[0]
        raise InputError(f"{field}: {twice!r} stands there more than once; each item once")


def _places(shown: Sequence[str], candidates: Sequence[str]) -> I64:
    """Return the places of shown items among the candidates."""
    if not shown:
        raise InputError("shown: got none; allowed: at least one of the candidates")
    if len(shown) > MOST_SHOWN:
        raise InputError(f"shown: got {len(shown)} items; allowed: {MOST_SHOWN}")
    _check_once(shown, "shown")
    place_of = {item: n for n, item in enumerate(candidates)}
    for item in shown:
        if item not in place_of:
            raise InputError(f"shown: got {item!r}, which is not a candidate; allowed: candidates alone")
    return np.array([place_of[item] for item in shown], np.int64)


def _parse(
    values: Mapping[str, Any], shape: Shape, num_rows: int, field: str, column: _Column
) -> FeatureValues:
    if (unknown := first_unknown(values, shape.names)) is not None:
        raise InputError(f"{field}: unknown feature {unknown!r}; allowed: {', '.join(shape.names) or 'none'}")
    parsed = FeatureValues({}, {}, {}, {})
    for k, single in enumerate(shape.singles):
        if single.name in values:
            place = f"{field}.{single.name}"
            parsed.singles[k] = _ids(column(values[single.name], single, place), num_rows, place)
    for m, number in enumerate(shape.numbers):
        if number.name in values:
            place = f"{field}.{number.name}"
            parsed.numbers[m] = _numbers(column(values[number.name], number, place), num_rows, place)
    for n, feature in enumerate(shape.lists):
        if feature.name in values:
            place = f"{field}.{feature.name}"
            parsed.lists[n] = _lists(column(values[feature.name], feature, place), num_rows, feature, place)
    for n, vector in enumerate(shape.vectors):
        if vector.name in values:
            place = f"{field}.{vector.name}"
            given = column(values[vector.name], vector, place)
            if not isinstance(given, bytes):
                _check_list(given, num_rows, place)
            parsed.vectors[n] = parse_vectors(given, vector.dim, num_rows, place)
    return parsed


def _ids(column: Any, num_rows: int, place: str) -> I64:
    if isinstance(column, bytes):
        return _packed(column, ID, num_rows, place)
    _check_list(column, num_rows, place)
    try:
        ids = [UNKNOWN if v is None else v for v in column]
        return np.array(ids if set(map(type, ids)) <= {int} else _hashed(ids), np.int64)
    except (TypeError, OverflowError):
        raise _wrong(place, column, "an integer of 64 bits or a text, or null") from None


def _hashed(values: Sequence[Any]) -> list[int]:
    if any(type(v) not in (int, str) for v in values):
        raise TypeError
    return category_ids(values)


def _numbers(column: Any, num_rows: int, place: str) -> F32:
    if isinstance(column, bytes):
        values = _packed(column, FLOAT, num_rows, place)
    else:
        _check_list(column, num_rows, place)
        if not set(map(type, column)) <= {int, float, type(None)}:
            raise _wrong(place, column, "a number, or null")
        try:
            with np.errstate(over="ignore"):
                values = np.array([np.nan if v is None else v for v in column], np.float32)
        except OverflowError:
            raise _wrong(place, column, "a number of 32 bits, or null") from None
    if np.isinf(values).any():
        raise _wrong(place, values[np.isinf(values)].tolist(), "a finite number of 32 bits, or null")
    return values


def _lists(column: Any, num_rows: int, feature: Multi | History, place: str) -> List:
    allowed = "a list of integers of 64 bits or texts"
    if isinstance(column, bytes):
        raise InputError(f"{place}: got bytes; allowed: {allowed}")
    _check_list(column, num_rows, place)
    ids_NL = np.zeros((num_rows, feature.length), np.int64)
    count_N = np.zeros(num_rows, np.int64)
    for row, entries in enumerate(column):
        if entries is None:  # unknown, as in a profile that does not name the feature
            continue
        if not isinstance(entries, list):
            raise _wrong(place, [entries], allowed)
        if len(entries) > LONGEST:
            raise InputError(f"{place}: got a list of {len(entries)}; allowed: {LONGEST}")
        # Entries that the model does not read are not logged either.
        read = entries[-feature.length :] if isinstance(feature, History) else entries[: feature.length]
        try:
            ids_NL[row, : len(read)] = _hashed(read)
        except (TypeError, OverflowError):
            raise _wrong(place, read, allowed) from None
        count_N[row] = len(read)
    return List(ids_NL, count_N)


def _packed(column: bytes, kind: np.dtype[Any], num_rows: int, place: str) -> NDArray[Any]:
    if len(column) != kind.itemsize * num_rows:
        raise InputError(
            f"{place}: got {len(column)} bytes; allowed: {kind.itemsize * num_rows}, "
            f"{kind.itemsize} for each of {num_rows} candidates"
        )
    return np.frombuffer(column, kind)


def _check_list(column: Any, num_rows: int, place: str) -> None:
    if not isinstance(column, list):
        raise _wrong(place, column, f"one value for each of {num_rows}")
    check_num_rows(len(column), num_rows, place)


def _wrong(place: str, column: Any, allowed: str) -> InputError:
    return InputError(f"{place}: got {format_value(column)}; allowed: {allowed}")
