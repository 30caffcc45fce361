"""Growing sums by viewer and day, and blocks of columns.

Shapes: R viewer-days, C columns, N new rows.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F64, I64, Bool
from easq.prove.ab.chunks import Block

DAY_MS = 86_400_000
_DAY_BITS = 24


def day_key(user_N: I64, ts_N: I64) -> I64:
    """Return one number for a viewer and a UTC day."""
    return (user_N << _DAY_BITS) | (ts_N // DAY_MS)


def split_key(key_R: I64) -> tuple[I64, I64]:
    """Return viewer and day of each key."""
    return key_R >> _DAY_BITS, key_R & ((1 << _DAY_BITS) - 1)


class Sums:
    """A row of sums for each viewer and day."""

    def __init__(self, num_columns: int) -> None:
        self._num_columns = num_columns
        self.key_R: I64 = np.zeros(0, np.int64)
        self.sum_RC: F64 = np.zeros((0, num_columns))
        self._waiting: list[tuple[I64, F64]] = []
        self._num_waiting = 0

    def add(self, key_N: I64, columns: dict[int, NDArray[np.generic]]) -> None:
        """Add values to some columns of each row's viewer and day."""
        if not len(key_N):
            return
        key_R, inverse_N = np.unique(key_N, return_inverse=True)
        sum_RC = np.zeros((len(key_R), self._num_columns))
        for column, value_N in columns.items():
            sum_RC[:, column] = np.bincount(inverse_N, value_N.astype(np.float64), len(key_R))
        self._waiting.append((key_R, sum_RC))
        self._num_waiting += len(key_R)
        # Merged whenever the rows have doubled, so that each row is sorted only a few times in all.
        if self._num_waiting > max(len(self.key_R), 1 << 16):
            self.settle()

    def settle(self) -> None:
        """Merge the rows that were added."""
        parts = [(self.key_R, self.sum_RC), *self._waiting]
        key_N = np.concatenate([key for key, _ in parts])
        order_N = np.argsort(key_N, kind="stable")
        sorted_N = key_N[order_N]
        is_first_N = np.ones(len(sorted_N), np.bool_)
        is_first_N[1:] = sorted_N[1:] != sorted_N[:-1]
        start_R = np.flatnonzero(is_first_N)
        if len(start_R):
            sum_NC = np.concatenate([sums for _, sums in parts])[order_N]
            self.sum_RC = np.add.reduceat(sum_NC, start_R, 0)
        self.key_R = sorted_N[start_R]
        self._waiting, self._num_waiting = [], 0

    def keep(self, kept_R: Bool) -> None:
        """Forget the other rows."""
        self.key_R, self.sum_RC = self.key_R[kept_R], self.sum_RC[kept_R]


def joined(blocks: Sequence[Block]) -> Block:
    """Return the rows of several blocks as one."""
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def taken(block: Block, which: Bool | I64) -> Block:
    """Return some rows of a block."""
    return {name: column[which] for name, column in block.items()}


def places(sorted_R: I64, wanted_N: I64) -> I64:
    """Return the position of each key among sorted keys, -1 if it is not there."""
    if not len(sorted_R):
        return np.full(len(wanted_N), -1)
    place_N = np.minimum(np.searchsorted(sorted_R, wanted_N), len(sorted_R) - 1)
    return np.where(sorted_R[place_N] == wanted_N, place_N, -1)
