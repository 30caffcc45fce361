"""The rows of arrays, by key."""

from collections.abc import Hashable, Iterable, Sequence
from itertools import repeat
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K", bound=Hashable)
Rows = NDArray[np.intp]

NOBODY = 0
"""The row of all unknown keys; it holds their default values."""


class Index(Generic[K]):
    """Row numbers from 1 on, by key. Released rows are used again."""

    def __init__(self) -> None:
        self.row_of: dict[K, int] = {}
        self._keys: list[K | None] = [None]
        self._free: list[int] = []

    @property
    def num_rows(self) -> int:
        """Return how many rows an array needs: the most that were in use at once, and NOBODY."""
        return len(self._keys)

    def add(self, key: K) -> int:
        """Return the key's row, a new one for a new key."""
        row = self.row_of.get(key)
        if row is None:
            if self._free:
                row = self._free.pop()
                self._keys[row] = key
            else:
                row = len(self._keys)
                self._keys.append(key)
            self.row_of[key] = row
        return row

    def rows(self, keys: Sequence[K]) -> Rows:
        """Return the row of each key, NOBODY for unknown keys."""
        return np.fromiter(map(self.row_of.get, keys, repeat(NOBODY)), np.intp, len(keys))

    def key(self, row: int) -> K:
        """Return the key of a row in use."""
        key = self._keys[row]
        assert key is not None
        return key

    def same(self, key: K) -> K:
        """Return the stored object of an equal key, if there is one, so that its text is in memory once."""
        row = self.row_of.get(key)
        return key if row is None else self.key(row)

    def release(self, rows: Iterable[int]) -> list[K]:
        """Release those of the rows that are in use, and return their keys."""
        keys = []
        for row in rows:
            key = self._keys[row]
            if key is not None:
                del self.row_of[key]
                self._keys[row] = None
                self._free.append(row)
                keys.append(key)
        return keys
