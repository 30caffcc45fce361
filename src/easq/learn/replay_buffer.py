"""Replay buffer of recent answered rows, so that every step has some although answers are rare.

Shapes: A rows, W and V embedding rows of viewer and candidate, X and Y numbers of their dense features.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, I64


class AnsweredRows(NamedTuple):
    """Answered rows as the model reads them: viewer, chosen option (0 is the worst) and weight.

    `behavior_AK` tells which behaviors followed the view; K is 0 where no method reads them. X and Y are 0
    where there are no dense features, and where the rows are never replayed.
    """

    viewer_AW: I64
    candidate_AV: I64
    user_A: I64
    option_A: I64
    weight_A: F32
    behavior_AK: I64
    viewer_dense_AX: F32
    candidate_dense_AY: F32

    def stored(self) -> dict[str, NDArray[Any]]:
        """Return the columns for a checkpoint: as before there were dense features where there are none."""
        return {n: c for n, c in self._asdict().items() if "_dense_" not in n or c.shape[1]}

    @staticmethod
    def restored(columns: Mapping[str, NDArray[Any]]) -> "AnsweredRows":
        """Return what `stored` gave."""
        nothing_A0 = np.zeros((len(columns["user_A"]), 0), np.float32)
        return AnsweredRows(**{"viewer_dense_AX": nothing_A0, "candidate_dense_AY": nothing_A0, **columns})

    def take(self, chosen: I64) -> "AnsweredRows":
        """Return some rows."""
        return AnsweredRows(**{name: column[chosen] for name, column in self._asdict().items()})


def joined(first: AnsweredRows, second: AnsweredRows) -> AnsweredRows:
    """Return the rows of both, in order."""
    after = second._asdict()
    return AnsweredRows(**{n: np.concatenate([column, after[n]]) for n, column in first._asdict().items()})


class ReplayBuffer:
    """A ring of the last `capacity` answered rows.

    The weights of one viewer's rows add up to at most `viewer_weight`; 0 is no bound. Rows are stored with
    their original weights, which are scaled when they are read.
    """

    def __init__(
        self,
        capacity: int,
        viewer_width: int,
        candidate_width: int,
        num_behaviors: int = 0,
        viewer_weight: float = 0.0,
        dense_widths: tuple[int, int] = (0, 0),
    ) -> None:
        self._rows = AnsweredRows(
            viewer_AW=np.zeros((capacity, viewer_width), np.int64),
            candidate_AV=np.zeros((capacity, candidate_width), np.int64),
            user_A=np.zeros(capacity, np.int64),
            option_A=np.zeros(capacity, np.int64),
            weight_A=np.ones(capacity, np.float32),
            behavior_AK=np.zeros((capacity, num_behaviors), np.int64),
            viewer_dense_AX=np.zeros((capacity, dense_widths[0]), np.float32),
            candidate_dense_AY=np.zeros((capacity, dense_widths[1]), np.float32),
        )
        self._capacity, self._added, self._viewer_weight = capacity, 0, viewer_weight

    def __len__(self) -> int:
        return min(self._added, self._capacity)

    def add(self, rows: AnsweredRows) -> None:
        """Add rows; they replace the oldest ones when the buffer is full."""
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
        """Return up to `num` distinct rows, drawn uniformly.

        With partners, half of them are drawn uniformly, and each adds another row of its viewer if there is
        one, so that answers of one viewer can be paired.
        """
        size = len(self)
        num = min(num, size)
        if not with_partners:
            chosen = random.choice(size, num, replace=False) if num else np.zeros(0, np.int64)
        else:
            anchors = random.choice(size, (num + 1) // 2, replace=False) if num else np.zeros(0, np.int64)
            chosen = np.unique(np.concatenate([anchors, self._partners(anchors[: num // 2], random)]))
        rows = self._rows.take(chosen)
        return rows._replace(weight_A=self.bounded(rows.user_A, rows.weight_A))

    def bounded(self, user_A: I64, weight_A: F32, new: bool = False) -> F32:
        """Return weights scaled so that each viewer's rows together weigh at most the bound.

        With `new` the rows are about to be added, and count beside those in the buffer.
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
        bounded_A: F32 = weight_A * scale_U[viewer_A].astype(np.float32)
        return bounded_A

    def forget(self, user_A: I64) -> int:
        """Drop the rows of viewers, keep the others in their order, and return how many were dropped."""
        size = len(self)
        order = (self._added - size + np.arange(size)) % max(1, self._capacity)
        remaining = order[~np.isin(self._rows.user_A[order], user_A)]
        for column in self._rows:
            values = column[remaining]
            column[:] = 0
            column[: len(values)] = values
        self._added = len(remaining)
        return size - len(remaining)

    def _partners(self, anchors: I64, random: np.random.Generator) -> I64:
        """Return for each anchor a row of the same viewer, or the anchor itself if there is no other."""
        # The row number in the low bits of the viewer's id makes keys distinct, so every sort, including
        # the fastest, gives the same result.
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
        columns = {name: column[:size] for name, column in self._rows.stored().items()}
        if not self._rows.behavior_AK.shape[1]:
            del columns["behavior_AK"]
        return {**columns, "added": np.array([self._added])}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        self._added = int(state["added"][0])
        for name, column in self._rows._asdict().items():
            if not column[:1].size:
                continue
            # A buffer from before answers had weights holds none: each counted 1.
            column[: len(self)] = state.get(name, np.float32(1)) if name == "weight_A" else state[name]
