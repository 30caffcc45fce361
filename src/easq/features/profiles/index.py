"""Which row of an array belongs to which key."""

from collections.abc import Hashable, Iterable, Sequence
from itertools import repeat
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K", bound=Hashable)
Rows = NDArray[np.intp]

NOBODY = 0
"""The row of all keys that have none: what it holds is what is known of an unknown key."""


class Index(Generic[K]):
    """Row numbers from 1 on, by key; rows that were given up are used again."""

    def __init__(self) -> None:
        self.row_of: dict[K, int] = {}
        self._keys: list[K | None] = [None]
        self._free: list[int] = []

    @property
    def num_rows(self) -> int:
        """Return how many rows an array needs: all that were ever in use at once, and nobody's."""
        return len(self._keys)

    def add(self, key: K) -> int:
        """Return the key's row; a new key gets one."""
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
        """Return the row of each key, NOBODY for the unknown."""
        return np.fromiter(map(self.row_of.get, keys, repeat(NOBODY)), np.intp, len(keys))

    def key(self, row: int) -> K:
        """Return the key of a row in use."""
        key = self._keys[row]
        assert key is not None
        return key

    def same(self, key: K) -> K:
        """Return the key's own object where it has a row, so that its text is in memory once."""
        row = self.row_of.get(key)
        return key if row is None else self.key(row)

    def release(self, rows: Iterable[int]) -> list[K]:
        """Give up those of the rows that are in use and return their keys."""
        keys = []
        for row in rows:
            key = self._keys[row]
            if key is not None:
                del self.row_of[key]
                self._keys[row] = None
                self._free.append(row)
                keys.append(key)
        return keys
