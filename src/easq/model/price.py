"""The price of satisfaction: how much of it is served for a stated share of behavior.

Shapes: N rows, M viewed rows, L rows laid out as lists, B lists.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F64, I64, Anything
from easq.model.pairwise_accuracy import grid_of

_FIRST = 3
_MEMORY, _LONG_MEMORY = 0.9, 0.999
_PRIOR_LOSS, _PRIOR_RATIO = 300.0, 1.25
_LEAST_RATIO, _MOST_RATIO = 0.25, 4.0
_FALL, _RISE = 0.5, 1.25
_LIST = 20
_PRIOR_GAIN = 300.0
_START, _LEAST = 0.1, 1e-6


class Price:
    """A factor on the satisfaction score, held so that the first three lose `budget` of their behavior.

    The behavior score is the level expected, so the loss of an order is known at once and without noise: the
    expected level of the first three by behavior less that of the first three as served. How much is lost in
    truth per expected level is learned from the levels observed, over a long memory; it begins at 1.25, about
    what worlds show. A loss grows with the square of the factor, so the factor moves by the root of the
    budget over the price: by at most a quarter up and a half down in a step.

    Where a reference's scores are given, the budget is a share of the behavior of the reference's own first
    three: what the behavior score gains over them may be spent too. That gain, too, is expected and then
    corrected by what was observed.

    Lists are requests of more than three viewed rows. A step without any has as lists the whole requests of
    its answers, and without those its rows in their order, twenty at a time.
    """

    def __init__(self, budget: float, *, most: float) -> None:
        self._budget, self._most = budget, most
        self.factor = min(_START, most)
        self._recent, self._long = np.zeros(2), np.zeros(2)
        self._recent_gain, self._long_gain = np.zeros(2), np.zeros(2)

    def observe(
        self,
        behavior_N: Anything,
        satisfaction_N: Anything,
        request_N: I64,
        level_M: Anything,
        reference_M: Anything | None = None,
    ) -> None:
        """Move the factor by one step's scores from before its update, and those of a reference."""
        row_L, list_L, has_levels = _lists(request_N, len(level_M))
        behavior = behavior_N[row_L].astype(np.float64)
        satisfaction = satisfaction_N[row_L].astype(np.float64)
        if not len(row_L) or not np.ptp(satisfaction):
            return  # nothing is served beside behavior, so nothing is learned about what it costs
        served = behavior + self.factor * satisfaction
        first_by_behavior, first_as_served = _first(list_L, behavior), _first(list_L, served)
        lost = behavior[first_by_behavior].sum() - behavior[first_as_served].sum()
        self._recent = _MEMORY * self._recent + (lost, behavior[first_by_behavior].sum())
        if has_levels:
            level = np.asarray(level_M, np.float64)[row_L]
            self._long = _LONG_MEMORY * self._long + (
                level[first_by_behavior].sum() - level[first_as_served].sum(), lost
            )  # fmt: skip
            if reference_M is not None:
                first_by_reference = _first(list_L, np.asarray(reference_M, np.float64)[row_L])
                gained = behavior[first_by_behavior].sum() - behavior[first_by_reference].sum()
                self._recent_gain = _MEMORY * self._recent_gain + (
                    gained, behavior[first_by_behavior].sum()
                )  # fmt: skip
                self._long_gain = _LONG_MEMORY * self._long_gain + (
                    level[first_by_behavior].sum() - level[first_by_reference].sum(), gained
                )  # fmt: skip
        expected = max(abs(float(self._recent[1])), 1e-9)
        price = self.ratio * float(self._recent[0]) / expected
        change = (self.budget / max(price, 1e-9)) ** 0.5
        moved = self.factor * min(_RISE, max(_FALL, change))
        self.factor = min(max(moved, _LEAST), self._most)

    @property
    def budget(self) -> float:
        """The share of the behavior score's own behavior that may be lost."""
        gained, own = self._recent_gain
        if not own:
            return self._budget
        real, expected = self._long_gain
        ratio = max(0.0, float((real + _PRIOR_GAIN) / (expected + _PRIOR_GAIN)))
        return max(0.0, 1 - (1 - self._budget) * (1 - ratio * float(gained / abs(own))))

    @property
    def ratio(self) -> float:
        """The level lost per level that was expected to be lost."""
        real, expected = self._long
        return min(
            _MOST_RATIO,
            max(_LEAST_RATIO, float((real + _PRIOR_RATIO * _PRIOR_LOSS) / (expected + _PRIOR_LOSS))),
        )

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the factor and the sums."""
        sums = {"recent": self._recent, "long": self._long}
        if self._recent_gain.any():
            sums |= {"recent_gain": self._recent_gain, "long_gain": self._long_gain}
        return {"factor": np.array([self.factor]), **sums}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        self.factor = float(state["factor"][0])
        self._recent, self._long = state["recent"].astype(np.float64), state["long"].astype(np.float64)
        zeros = np.zeros(2)
        self._recent_gain = state.get("recent_gain", zeros).astype(np.float64)
        self._long_gain = state.get("long_gain", zeros).astype(np.float64)


def _lists(request_N: I64, num_viewed: int) -> tuple[I64, I64, bool]:
    """Return rows in lists of more than three, the list of each, and whether their levels are known."""
    viewed, answered = request_N[:num_viewed], request_N[num_viewed:]
    for rows, first, has_levels in ((viewed, 0, True), (answered, num_viewed, False)):
        if len(rows):
            _, number, size = np.unique(rows, return_inverse=True, return_counts=True)
            chosen = np.flatnonzero(size[number] > _FIRST)
            if len(chosen):
                return first + chosen, np.unique(number[chosen], return_inverse=True)[1], has_levels
    whole = num_viewed - num_viewed % _LIST
    return np.arange(whole), np.arange(whole) // _LIST, True


def _first(list_L: I64, score_L: F64) -> I64:
    """Return the rows that stand first in their list by score."""
    place = grid_of(list_L, np.arange(len(list_L)))
    score = grid_of(list_L, score_L)
    chosen = np.argsort(-score, axis=1, kind="stable")[:, :_FIRST]
    rows: I64 = np.take_along_axis(place, chosen, 1).astype(np.int64).ravel()
    return rows
