"""Columns as bytes without a type tag: ids are little-endian int64, numbers float32, counts uint16."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from easq.arrays import F32, I64

ID = np.dtype("<i8")
FLOAT = np.dtype("<f4")
COUNT = np.dtype("<u2")

LARGEST_VALUE = 1e12
"""The largest value of a behavior, live and imported: a day's sum of them is a number of 32 bits."""

LARGEST_FLOAT = float(np.finfo(np.float32).max)
"""The largest number that fits into a float32."""

Column = bytes
"""One packed column: int64 ids, float32 numbers or uint16 counts, little-endian."""


def pack_ids(values: ArrayLike) -> Column:
    """Return integer ids as an int64 column."""
    return np.asarray(values, ID).tobytes()


def pack_floats(values: ArrayLike) -> Column:
    """Return numbers as a float32 column; NaN means unknown."""
    return np.asarray(values, FLOAT).tobytes()


def pack_counts(values: ArrayLike) -> Column:
    """Return the number of ids of each row of a multi-valued feature as a uint16 column.

    Raises ValueError if a count does not fit.
    """
    counts = np.asarray(values)
    if counts.size and not 0 <= counts.min() <= counts.max() <= np.iinfo(COUNT).max:
        raise ValueError(f"a row may hold 0 to {np.iinfo(COUNT).max} ids, got {counts.max()}")
    return counts.astype(COUNT).tobytes()


def unpack_ids(column: Column) -> I64:
    """Return an int64 column as a read-only array."""
    return np.frombuffer(column, ID)


def unpack_floats(column: Column) -> F32:
    """Return a float32 column as a read-only array."""
    return np.frombuffer(column, FLOAT)


def unpack_counts(column: Column) -> NDArray[np.uint16]:
    """Return a uint16 column as a read-only array."""
    return np.frombuffer(column, COUNT)
