"""Answers that wait for each other: a step holds enough of them to be paired, and each is learned once.

A platform's step holds many answers; at one answer in ten thousand views a step of a few thousand rows holds
none or one. Waiting is the small-scale form of the paper's step.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from easq.arrays import I64
from easq.home.snapshots import StoredState
from easq.learn.replay_buffer import AnsweredRows, joined


class WaitingAnswers:
    """Answered rows in the order in which they came, until `most` are there."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: AnsweredRows | None = None

    def released(self, new: AnsweredRows) -> AnsweredRows:
        """Return all that wait, with new rows, if they are enough; else none. Nothing changes until `add`."""
        rows = self._with(new)
        return rows if len(rows.user_A) >= self._most else rows.take(np.zeros(0, np.int64))

    def add(self, new: AnsweredRows) -> None:
        """Add rows, and let all go if they are enough."""
        rows = self._with(new)
        self._rows = None if len(rows.user_A) >= self._most else rows

    def _with(self, new: AnsweredRows) -> AnsweredRows:
        return new if self._rows is None else joined(self._rows, new)

    def forget(self, user_A: I64) -> None:
        """Drop the rows of viewers."""
        if self._rows is not None:
            self._rows = self._rows.take(np.flatnonzero(~np.isin(self._rows.user_A, user_A)))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the rows that wait."""
        return {} if self._rows is None else self._rows.stored()

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        columns: StoredState = {name: column.copy() for name, column in state.items()}
        self._rows = AnsweredRows.restored(columns) if columns else None
