"""Weights of the answers' own, of values and of crosses, learned row by row.

Answers are rare, so each is learned alone, and the next one is predicted by what it left. On EEG-SVRec that
ranks answers better than one update for all answers of a step (pairs of a request .603 against .595, without
crosses). Shapes: A answers, X values and crosses of a row.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, F64, I64

_BETA = 0.1


class OwnWeights:
    """A logistic model of answers by FTRL-proximal: weights of values, of values in a history, of crosses.

    There is a constant beside them. Values are numbered like the rows of the table, those in a history
    `num_rows` higher, crosses from `first_cross` on, with a rate of their own. The served copy of the weights
    is in columns of the table and in the table of crosses; here are the sums that they follow from. Source:
    McMahan et al. 2013.
    """

    def __init__(self, num_rows: int, rate: float, *, num_crosses: int = 0, cross_rate: float = 0.0) -> None:
        self._rate, self._cross_rate = rate, cross_rate
        self.first_cross = 2 * num_rows
        # The row of padding stands for the constant, which is in no sum that is served.
        self._z, self._n = (np.zeros(self.first_cross + num_crosses) for _ in range(2))

    def learn(self, value_AX: I64, said_A: F64, weight_A: F32) -> tuple[I64, F64]:
        """Learn answers between 0 and 1 one after another; return what changed, and the weights of it.

        A number below 1 is padding.
        """
        changed = [np.zeros(0, np.int64)]
        for value_X, said, weight in zip(value_AX, said_A.tolist(), weight_A.tolist(), strict=True):
            if not weight:
                continue
            rows, times = np.unique(np.append(value_X[value_X > 0], 0), return_counts=True)
            before = self._weights(rows)
            gradient = weight * (1 / (1 + np.exp(-float(before @ times))) - said) * times
            old, new = np.sqrt(self._n[rows]), np.sqrt(self._n[rows] + gradient**2)
            self._z[rows] += gradient - (new - old) / self._rates(rows) * before
            self._n[rows] = new**2
            changed.append(rows)
        rows = np.unique(np.concatenate(changed))
        rows = rows[rows > 0]
        return rows, self._weights(rows)

    def _weights(self, rows: I64) -> F64:
        weights: F64 = -self._rates(rows) * self._z[rows] / (_BETA + np.sqrt(self._n[rows]))
        return weights

    def _rates(self, rows: I64) -> F64:
        return np.where(rows < self.first_cross, self._rate, self._cross_rate)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the sums of the rows that any answer named."""
        rows = np.flatnonzero(self._n)
        return {"rows": rows, "z": self._z[rows], "n": self._n[rows]}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        self._z[:], self._n[:] = 0, 0
        rows = state["rows"].astype(np.int64)
        self._z[rows], self._n[rows] = state["z"].astype(np.float64), state["n"].astype(np.float64)
