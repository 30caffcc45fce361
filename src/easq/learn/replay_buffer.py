"""Recent answered rows, so that every step holds some although answers are rare.

Shapes: A rows, W and V embedding rows of viewer and candidate.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


class AnsweredRows(NamedTuple):
    """Answered rows as the model reads them, with who said what."""

    viewer_AW: Ids
    candidate_AV: Ids
    user_A: Ids
    option_A: Ids


class ReplayBuffer:
    """A ring of the last `capacity` answered rows."""

    def __init__(self, capacity: int, viewer_width: int, candidate_width: int) -> None:
        self._rows = AnsweredRows(
            np.zeros((capacity, viewer_width), np.int64),
            np.zeros((capacity, candidate_width), np.int64),
            np.zeros(capacity, np.int64),
            np.zeros(capacity, np.int64),
        )
        self._capacity, self._added = capacity, 0

    def __len__(self) -> int:
        return min(self._added, self._capacity)

    def add(self, rows: AnsweredRows) -> None:
        """Keep rows, the oldest giving way."""
        num = len(rows.user_A)
        if not num or not self._capacity:
            return
        skipped = max(0, num - self._capacity)
        place = (self._added + np.arange(skipped, num)) % self._capacity
        for kept, new in zip(self._rows, rows, strict=True):
            kept[place] = new[skipped:]
        self._added += num

    def sample(self, num: int, with_partners: bool, random: np.random.Generator) -> AnsweredRows:
        """Return up to `num` distinct rows, drawn evenly.

        With partners, half of them are drawn evenly and each brings another row of its viewer,
        where there is one, so that answers of one viewer meet.
        """
        size = len(self)
        num = min(num, size)
        if not with_partners:
            chosen = random.choice(size, num, replace=False) if num else np.zeros(0, np.int64)
        else:
            anchors = random.choice(size, (num + 1) // 2, replace=False) if num else np.zeros(0, np.int64)
            chosen = np.unique(np.concatenate([anchors, self._partners(anchors[: num // 2], random)]))
        return AnsweredRows(*(kept[chosen] for kept in self._rows))

    def _partners(self, anchors: Ids, random: np.random.Generator) -> Ids:
        """Return for each anchor a row of the same viewer, itself where there is no other."""
        # The row number in the low bits of the viewer's id makes keys distinct, so any sort, the
        # fastest one too, has only one outcome.
        bits = max(1, self._capacity.bit_length())
        user_A = self._rows.user_A[: len(self)] >> bits
        key_A = np.sort((user_A << bits) | np.arange(len(self)))
        first = np.searchsorted(key_A, user_A[anchors] << bits)
        number = (1 << bits) - 1
        last = np.searchsorted(key_A, (user_A[anchors] << bits) | number, side="right")
        partners: Ids = key_A[random.integers(first, last)] & number
        return partners

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the rows and how many have ever been added."""
        size = len(self)
        kept = {name: rows[:size] for name, rows in self._rows._asdict().items()}
        return {**kept, "added": np.array([self._added])}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Become the buffer whose `state` this is."""
        self._added = int(state["added"][0])
        for name, rows in self._rows._asdict().items():
            rows[: len(self)] = state[name]
