"""Vectors as callers send them: lists of numbers, or raw little-endian float32."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from easq.arrays import F32, Bool
from easq.errors import InputError, format_value
from easq.log.packing import FLOAT


def parse_vectors(values: list[Any] | bytes, dim: int, num_rows: int, place: str) -> F32:
    """Return vectors as rows of float32, NaN throughout where one is unknown (None, or NaN throughout).

    `values` are lists of numbers, bytes or None; or the bytes of all rows. Raises InputError, naming the
    place, what was given and what is allowed.
    """
    if isinstance(values, bytes):
        size = FLOAT.itemsize * dim
        if len(values) != size * num_rows:
            raise InputError(
                f"{place}: got {len(values)} bytes; allowed: {size * num_rows}, {size} for each of "
                f"{num_rows} vectors"
            )
        return _checked(np.frombuffer(values, FLOAT).reshape(num_rows, dim), dim, place)
    vector_ND = np.full((num_rows, dim), np.nan, np.float32)
    lists = [n for n, value in enumerate(values) if isinstance(value, list)]
    if lists:
        vector_ND[lists] = _from_lists([values[n] for n in lists], dim, place)
    for n, value in enumerate(values):
        if value is not None and not isinstance(value, list):
            vector_ND[n] = _from_bytes(value, dim, place)
    return _checked(vector_ND, dim, place)


def are_vectors(vector_ND: F32) -> Bool:
    """Return which rows are finite vectors, or unknown: NaN throughout."""
    are_N: Bool = np.logical_or(np.isfinite(vector_ND).all(1), np.isnan(vector_ND).all(1))
    return are_N


def _from_lists(lists: Sequence[list[Any]], dim: int, place: str) -> F32:
    for one in lists:
        if len(one) != dim:
            raise InputError(f"{place}: got {len(one)} numbers; allowed: {_allowed(dim)}")
    if not set(map(type, chain.from_iterable(lists))) <= {int, float}:
        wrong = next(v for v in chain.from_iterable(lists) if type(v) not in (int, float))
        raise InputError(f"{place}: got {format_value(wrong)} in a vector; allowed: {_allowed(dim)}")
    try:
        with np.errstate(over="ignore"):
            vector_ND = np.array(lists, np.float64).astype(np.float32)
    except OverflowError:
        raise InputError(f"{place}: got a number beyond 32 bits; allowed: {_allowed(dim)}") from None
    if (wrong := vector_ND[~np.isfinite(vector_ND)]).size:
        raise InputError(f"{place}: got {float(wrong[0])} in a vector; allowed: {_allowed(dim)}")
    return vector_ND


def _from_bytes(value: Any, dim: int, place: str) -> F32:
    if not isinstance(value, bytes):
        raise InputError(f"{place}: got {format_value(value)}; allowed: {_allowed(dim)}")
    if len(value) != FLOAT.itemsize * dim:
        raise InputError(f"{place}: got {len(value)} bytes; allowed: {_allowed(dim)}")
    return np.frombuffer(value, FLOAT)


def _checked(vector_ND: F32, dim: int, place: str) -> F32:
    if (wrong_ND := vector_ND[~are_vectors(vector_ND)]).size:
        wrong = wrong_ND[~np.isfinite(wrong_ND)]
        raise InputError(f"{place}: got {float(wrong[0])} in a vector; allowed: {_allowed(dim)}")
    return vector_ND


def _allowed(dim: int) -> str:
    return (
        f"{dim} finite numbers of 32 bits, as a list or as {FLOAT.itemsize * dim} bytes of little-endian "
        "float32 (in JSON as base64), or null"
    )
