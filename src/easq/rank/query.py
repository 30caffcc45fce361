"""What a call to rank brings: whom, which candidates, and values given on the spot.

A value given on the spot goes before what is stored. Candidates' values come by feature, as columns
that stand in the order of the candidates. Shapes: N candidates, or the one viewer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, I64
from easq.errors import InputError, first_unknown, format_value
from easq.features.columns import LONGEST, UNKNOWN, Columns, List, Shape
from easq.log.ids import stable_ids
from easq.log.packing import FLOAT, ID
from easq.recipe.features import Categorical, Feature, History, Numeric

Scalar = int | float | str | None
Given = list[Scalar | list[int | str]] | bytes
"""A column: one entry per candidate, or in MessagePack its packed bytes (int64 ids, float32 numbers)."""


class Query(msgspec.Struct, forbid_unknown_fields=True):
    """Rank these candidates for this viewer.

    `context` holds viewer features by name, `features` columns of candidate features by name; `limit`
    is how many to return.
    """

    user_id: str
    candidates: list[str]
    context: dict[str, Scalar | list[int | str]] = {}
    features: dict[str, Given] = {}
    limit: int | None = None


def with_given(columns: Columns, shape: Shape, given: Mapping[str, Any], field: str) -> Columns:
    """Return the columns with those in `given` in the place of their own; changes arrays in place.

    Raises InputError, naming `field` and feature, for an unknown name, a wrong size or a wrong value.
    """
    if not given:
        return columns
    if (unknown := first_unknown(given, shape.names)) is not None:
        raise InputError(f"{field}: unknown feature {unknown!r}; allowed: {', '.join(shape.names) or 'none'}")
    num_rows = len(columns)
    for k, single in enumerate(shape.singles):
        if single.name in given:
            columns.ids_NK[:, k] = _ids(given[single.name], num_rows, single, field)
    for m, number in enumerate(shape.numbers):
        if number.name in given:
            columns.numbers_NM[:, m] = _numbers(given[number.name], num_rows, number, field)
    lists = list(columns.lists)
    for n, feature in enumerate(shape.lists):
        if feature.name in given:
            lists[n] = _lists(given[feature.name], num_rows, feature, field)
    return Columns(columns.ids_NK, columns.numbers_NM, tuple(lists))


def one_row(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the viewer's values as columns of one row."""
    return {name: [value] for name, value in context.items()}


def _ids(column: Any, num_rows: int, feature: Categorical, field: str) -> I64:
    if isinstance(column, bytes):
        return _packed(column, ID, num_rows, feature, field)
    _check_length(column, num_rows, feature, field)
    try:
        found = [UNKNOWN if v is None else v for v in column]
        return np.array(found if set(map(type, found)) <= {int} else _hashed(found), np.int64)
    except (TypeError, OverflowError):
        raise _wrong(feature, field, column, "an integer of 64 bits or a text, or null") from None


def _hashed(values: Sequence[Any]) -> list[int]:
    if any(type(v) not in (int, str) for v in values):
        raise TypeError
    return stable_ids(values)


def _numbers(column: Any, num_rows: int, feature: Numeric, field: str) -> F32:
    if isinstance(column, bytes):
        values = _packed(column, FLOAT, num_rows, feature, field)
    else:
        _check_length(column, num_rows, feature, field)
        if not set(map(type, column)) <= {int, float, type(None)}:
            raise _wrong(feature, field, column, "a number, or null")
        try:
            with np.errstate(over="ignore"):
                values = np.array([np.nan if v is None else v for v in column], np.float32)
        except OverflowError:
            raise _wrong(feature, field, column, "a number of 32 bits, or null") from None
    if np.isinf(values).any():
        raise _wrong(feature, field, values[np.isinf(values)].tolist(), "a finite number of 32 bits, or null")
    return values


def _lists(column: Any, num_rows: int, feature: Any, field: str) -> List:
    allowed = "a list of integers of 64 bits or texts"
    if isinstance(column, bytes):
        raise InputError(f"{field}.{feature.name}: got bytes; allowed: {allowed}")
    _check_length(column, num_rows, feature, field)
    ids_NL = np.zeros((num_rows, feature.length), np.int64)
    count_N = np.zeros(num_rows, np.int64)
    for row, entries in enumerate(column):
        if not isinstance(entries, list):
            raise _wrong(feature, field, [entries], allowed)
        if len(entries) > LONGEST:
            raise InputError(f"{field}.{feature.name}: got a list of {len(entries)}; allowed: {LONGEST}")
        # What the model would not read is not logged either.
        kept = entries[-feature.length :] if isinstance(feature, History) else entries[: feature.length]
        try:
            ids_NL[row, : len(kept)] = _hashed(kept)
        except (TypeError, OverflowError):
            raise _wrong(feature, field, kept, allowed) from None
        count_N[row] = len(kept)
    return List(ids_NL, count_N)


def _packed(column: bytes, kind: np.dtype[Any], num_rows: int, feature: Feature, field: str) -> NDArray[Any]:
    if len(column) != kind.itemsize * num_rows:
        raise InputError(
            f"{field}.{feature.name}: got {len(column)} bytes; allowed: {kind.itemsize * num_rows}, "
            f"{kind.itemsize} for each of {num_rows} candidates"
        )
    return np.frombuffer(column, kind)


def _check_length(column: Any, num_rows: int, feature: Feature, field: str) -> None:
    if not isinstance(column, list) or len(column) != num_rows:
        got = f"{len(column)} values" if isinstance(column, list) else format_value(column)
        raise InputError(f"{field}.{feature.name}: got {got}; allowed: one value for each of {num_rows}")


def _wrong(feature: Feature, field: str, column: Any, allowed: str) -> InputError:
    return InputError(f"{field}.{feature.name}: got {format_value(column)}; allowed: {allowed}")
