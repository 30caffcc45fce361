"""The price of satisfaction: how much of it is served for a stated share of behavior.

Shapes: N rows, M viewed rows, L rows laid out as lists, B lists.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F64, I64, Anything, Bool
from easq.model.pairwise_accuracy import grid_of

_FIRST = 3
_MEMORY, _LONG_MEMORY = 0.9, 0.999
_PRIOR_LOSS, _PRIOR_BEYOND = 300.0, 0.2
_PRIOR_ROWS: F64 = np.array([1_000.0, 10_000.0])
_PRIOR_SLOPES: F64 = np.array([1.0, 0.0])
_LEAST_RATIO, _MOST_RATIO = 0.25, 4.0
_FALL, _RISE = 0.5, 1.25
_LIST = 20
_PRIOR_GAIN = 300.0
_START, _LEAST = 0.1, 1e-6


class Price:
    """A factor on the satisfaction score, held so that the first three lose `budget` of their behavior.

    The behavior score is the level expected, so the loss of an order is known at once and without noise: the
    expected level of the first three by behavior less that of the first three as served. How much is lost in
    truth per expected level is learned from the levels observed, over a long memory, in two parts. Least
    squares of the levels on both scores, inside lists, say what a difference in each is worth: satisfaction
    that answers have taught may know of behavior what the behavior score does not. And what the first three
    lost beyond what these slopes say, because a score flatters those that it puts first. They begin at 1 (0
    for satisfaction) and at .2 beyond, about what worlds show. Lists with an answer are left out of both.

    A loss grows with the square of the factor, so the factor moves by the root of the budget over the price:
    by at most a quarter up and a half down in a step.

    Where a reference's scores are given, the budget is a share of the behavior of the reference's own first
    three: what the behavior score gains over them may be spent too. That gain, too, is expected and then
    corrected by what was observed.

    Lists are requests of more than three viewed rows. A step without any has as lists the whole requests of
    its answers, and without those its rows in their order, twenty at a time.
    """

    def __init__(self, budget: float, *, most: float) -> None:
        self._budget, self._most = budget, most
        self.factor = min(_START, most)
        self._recent, self._long = np.zeros(3), np.zeros(2)
        self._products, self._rows = np.zeros((3, 3)), 0.0
        self._recent_gain, self._long_gain = np.zeros(2), np.zeros(2)

    def observe(
        self,
        behavior_N: Anything,
        satisfaction_N: Anything,
        request_N: I64,
        level_M: Anything,
        reference_M: Anything | None = None,
        answer_M: I64 | None = None,
    ) -> None:
        """Move the factor by one step's scores from before its update, and those of a reference.

        `answer_M` says which views had an answer: an option, or -1. It may be learned by now.
        """
        row_L, list_L, has_levels = _lists(request_N, len(level_M))
        behavior = behavior_N[row_L].astype(np.float64)
        satisfaction = satisfaction_N[row_L].astype(np.float64)
        if not len(row_L) or not np.ptp(satisfaction):
            return  # nothing is served beside behavior, so nothing is learned about what it costs
        score_L2 = np.stack([behavior, satisfaction], 1)
        firsts = _first(list_L, behavior), _first(list_L, behavior + self.factor * satisfaction)
        lost_2, whole = _lost(score_L2, firsts), behavior[firsts[0]].sum()
        self._recent = _MEMORY * self._recent + (lost_2[0], lost_2 @ self.slopes, whole)
        if has_levels:
            level = np.asarray(level_M, np.float64)[row_L]
            self._observe_levels(level, score_L2, list_L, firsts, _told(list_L, row_L, answer_M))
            if reference_M is not None:
                first_by_reference = _first(list_L, np.asarray(reference_M, np.float64)[row_L])
                gained = whole - behavior[first_by_reference].sum()
                real = level[firsts[0]].sum() - level[first_by_reference].sum()
                self._recent_gain = _MEMORY * self._recent_gain + (gained, whole)
                self._long_gain = _LONG_MEMORY * self._long_gain + (real, gained)
        price = self.ratio * float(self._recent[0]) / max(abs(float(self._recent[2])), 1e-9)
        change = (self.budget / max(price, 1e-9)) ** 0.5
        moved = self.factor * min(_RISE, max(_FALL, change))
        self.factor = min(max(moved, _LEAST), self._most)

    def _observe_levels(
        self, level_L: F64, score_L2: F64, list_L: I64, firsts: tuple[I64, I64], is_told_L: Bool
    ) -> None:
        """Learn what was lost in truth from the levels of lists without an answer."""
        untold = firsts[0][~is_told_L[firsts[0]]], firsts[1][~is_told_L[firsts[1]]]
        real, lost_2 = _lost(level_L, untold), _lost(score_L2, untold)
        self._long = _LONG_MEMORY * self._long + (real - lost_2 @ self.slopes, lost_2[0])
        known_L3 = _centered(np.column_stack([score_L2, level_L]), list_L)[~is_told_L]
        self._products = _LONG_MEMORY * self._products + known_L3.T @ known_L3
        self._rows = _LONG_MEMORY * self._rows + len(known_L3)

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
        """The level lost per level that the behavior score expects to be lost."""
        expected, worth, _ = self._recent
        beyond, long_expected = self._long
        flattery = (beyond + _PRIOR_BEYOND * _PRIOR_LOSS) / (long_expected + _PRIOR_LOSS)
        ratio = (worth / expected if expected > 0 else 1.0) + flattery
        return min(_MOST_RATIO, max(_LEAST_RATIO, float(ratio)))

    @property
    def slopes(self) -> F64:
        """The level that one unit of the behavior score and one of satisfaction are worth inside a list."""
        if not self._rows:
            return _PRIOR_SLOPES
        prior = np.diag(_PRIOR_ROWS * np.diag(self._products)[:2] / self._rows + 1e-12)
        moment = self._products[:2, 2] + prior @ _PRIOR_SLOPES
        return np.linalg.solve(self._products[:2, :2] + prior, moment).astype(np.float64)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the factor and the sums."""
        sums = {
            "recent": self._recent, "long": self._long,
            "products": self._products, "rows": np.array([self._rows]),
        }  # fmt: skip
        if self._recent_gain.any():
            sums |= {"recent_gain": self._recent_gain, "long_gain": self._long_gain}
        return {"factor": np.array([self.factor]), **sums}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        self.factor = float(state["factor"][0])
        self._recent, self._long, self._products = (
            state[name].astype(np.float64) for name in ("recent", "long", "products")
        )
        self._rows = float(state["rows"][0])
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


def _lost(value_L: F64, firsts: tuple[I64, I64]) -> F64:
    """Return the sum of values over the first three by behavior less that over those as served."""
    return np.asarray(value_L[firsts[0]].sum(0) - value_L[firsts[1]].sum(0), np.float64)


def _centered(value_LF: F64, list_L: I64) -> F64:
    """Return values relative to the mean of their list."""
    size_B = np.maximum(np.bincount(list_L), 1)
    means = [np.bincount(list_L, value_L) / size_B for value_L in value_LF.T]
    return value_LF - np.stack(means, 1)[list_L]


def _told(list_L: I64, row_L: I64, answer_M: I64 | None) -> Bool:
    """Return which rows stand in a list with an answer.

    An answer is learned before the behavior on its view is counted. It knows this view's mood and chance, so
    an order that follows it seems to cost less than it will on views to come.
    """
    if answer_M is None:
        return np.zeros(len(list_L), np.bool_)
    return np.isin(list_L, list_L[answer_M[row_L] >= 0])


def _first(list_L: I64, score_L: F64) -> I64:
    """Return the rows that stand first in their list by score."""
    place = grid_of(list_L, np.arange(len(list_L)))
    score = grid_of(list_L, score_L)
    chosen = np.argsort(-score, axis=1, kind="stable")[:, :_FIRST]
    rows: I64 = np.take_along_axis(place, chosen, 1).astype(np.int64).ravel()
    return rows
