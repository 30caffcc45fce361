"""Recent answered rows, so that every step holds some although answers are rare.

Shapes: A rows, W and V embedding rows of viewer and candidate.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, I64


class AnsweredRows(NamedTuple):
    """Answered rows as the model reads them: by whom, which option (0 is the worst), and how much it counts.

    `behavior_AK` says which behaviors the view brought; K is 0 where nobody reads them.
    """

    viewer_AW: I64
    candidate_AV: I64
    user_A: I64
    option_A: I64
    weight_A: F32
    behavior_AK: I64


class ReplayBuffer:
    """A ring of the last `capacity` answered rows.

    The weights of one viewer's rows add up to `viewer_weight` at most; 0 is no bound. Rows keep the weights
    that they were added with; these are scaled when they are read.
    """

    def __init__(
        self,
        capacity: int,
        viewer_width: int,
        candidate_width: int,
        num_behaviors: int = 0,
        viewer_weight: float = 0.0,
    ) -> None:
        self._rows = AnsweredRows(
            viewer_AW=np.zeros((capacity, viewer_width), np.int64),
            candidate_AV=np.zeros((capacity, candidate_width), np.int64),
            user_A=np.zeros(capacity, np.int64),
            option_A=np.zeros(capacity, np.int64),
            weight_A=np.ones(capacity, np.float32),
            behavior_AK=np.zeros((capacity, num_behaviors), np.int64),
        )
        self._capacity, self._added, self._viewer_weight = capacity, 0, viewer_weight

    def __len__(self) -> int:
        return min(self._added, self._capacity)

    def add(self, rows: AnsweredRows) -> None:
        """Keep rows, the oldest giving way."""
        num = len(rows.user_A)
        if not num or not self._capacity:
            return
        skipped = max(0, num - self._capacity)
        place = (self._added + np.arange(skipped, num)) % self._capacity
        columns, new = self._rows._asdict(), rows._asdict()
        for name, column in columns.items():
            column[place] = new[name][skipped:]
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
        rows = AnsweredRows(**{name: column[chosen] for name, column in self._rows._asdict().items()})
        return rows._replace(weight_A=self.bounded(rows.user_A, rows.weight_A))

    def bounded(self, user_A: I64, weight_A: F32, new: bool = False) -> F32:
        """Return weights scaled so that no viewer's rows weigh more than the bound together.

        With `new` the rows are to be added and count beside those that are here.
        """
        if not self._viewer_weight or not len(user_A):
            return weight_A
        num = len(self)
        users, weights = self._rows.user_A[:num], self._rows.weight_A[:num]
        if new:
            users, weights = np.concatenate([users, user_A]), np.concatenate([weights, weight_A])
        user_U, viewer_A = np.unique(user_A, return_inverse=True)
        place = np.minimum(np.searchsorted(user_U, users), len(user_U) - 1)
        is_theirs = user_U[place] == users
        total_U = np.bincount(place[is_theirs], weights[is_theirs], len(user_U))
        scale_U = self._viewer_weight / np.maximum(total_U, self._viewer_weight)
        found: F32 = weight_A * scale_U[viewer_A].astype(np.float32)
        return found

    def forget(self, user_A: I64) -> int:
        """Drop the rows of viewers, the others closing up in their order; return how many went."""
        size = len(self)
        order = (self._added - size + np.arange(size)) % max(1, self._capacity)
        kept = order[~np.isin(self._rows.user_A[order], user_A)]
        for rows in self._rows:
            left = rows[kept]
            rows[:] = 0
            rows[: len(left)] = left
        self._added = len(kept)
        return size - len(kept)

    def _partners(self, anchors: I64, random: np.random.Generator) -> I64:
        """Return for each anchor a row of the same viewer, itself where there is no other."""
        # The row number in the low bits of the viewer's id makes keys distinct, so any sort, the
        # fastest one too, has only one outcome.
        bits = max(1, self._capacity.bit_length())
        user_A = self._rows.user_A[: len(self)] >> bits
        key_A = np.sort((user_A << bits) | np.arange(len(self)))
        first = np.searchsorted(key_A, user_A[anchors] << bits)
        number = (1 << bits) - 1
        last = np.searchsorted(key_A, (user_A[anchors] << bits) | number, side="right")
        partners: I64 = key_A[random.integers(first, last)] & number
        return partners

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the rows and how many have ever been added."""
        size = len(self)
        columns = {name: column[:size] for name, column in self._rows._asdict().items()}
        if not self._rows.behavior_AK.shape[1]:
            del columns["behavior_AK"]
        return {**columns, "added": np.array([self._added])}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Become the buffer whose `state` this is."""
        self._added = int(state["added"][0])
        for name, column in self._rows._asdict().items():
            if not column[:1].size:
                continue
            # A buffer of before answers had weights holds none: each counted 1.
            column[: len(self)] = state.get(name, np.float32(1)) if name == "weight_A" else state[name]
