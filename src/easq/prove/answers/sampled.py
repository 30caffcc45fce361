"""Counts by viewer in bounded memory: if there are too many viewers, a random sample is counted."""

import numpy as np

from easq.arrays import I64

_BITS = 20
_FIRST = 1024


class Sampled:
    """An array of counts for each of at most `most` viewers.

    A viewer is counted while its id, which is a hash, lies below a threshold. If there are too many viewers,
    the threshold is halved. So the viewers left are a random sample, independent of what they did.
    """

    def __init__(self, shape: tuple[int, ...], most: int) -> None:
        self._most, self._row_of = most, dict[int, int]()
        self._counts: I64 = np.zeros((_FIRST, *shape), np.int64)
        self.share = 1.0

    def row(self, user: int) -> I64 | None:
        """Return a viewer's counts, to be changed in place at once; None if the viewer is not counted."""
        if not self._is_kept(user):
            return None
        row = self._row_of.get(user)
        if row is None:
            row = self._row_of[user] = len(self._row_of)
            if row >= len(self._counts):
                self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
            if len(self._row_of) > self._most:
                self._thin()
                return self.row(user)
        counts: I64 = self._counts[row]
        return counts

    def all(self) -> tuple[I64, I64]:
        """Return the counted viewers and their counts."""
        return np.array(list(self._row_of), np.int64), self._counts[: len(self._row_of)]

    def _is_kept(self, user: int) -> bool:
        return (user >> 8) % (1 << _BITS) < self.share * (1 << _BITS)

    def _thin(self) -> None:
        self.share /= 2
        left_rows = {user: row for user, row in self._row_of.items() if self._is_kept(user)}
        left = self._counts[list(left_rows.values())]
        self._counts[: len(left)], self._counts[len(left) :] = left, 0
        self._row_of = {user: row for row, user in enumerate(left_rows)}
