"""The price of satisfaction: how much of it is served for a stated share of behavior.

Shapes: N rows, M viewed rows, L rows laid out as lists, B lists.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F64, I64, Anything, Bool
from easq.model.pairwise_accuracy import grid_of

_FIRST = 3
_MEMORY, _LOSS_MEMORY, _GAIN_MEMORY = 0.9, 0.999, 0.997
_PRIOR_BEYOND, _PRIOR_LEVELS = 0.2, 300.0
_PRIOR_ROWS: F64 = np.array([1_000.0, 10_000.0])
_PRIOR_SLOPES: F64 = np.array([1.0, 0.0])
_LEAST_RATIO, _MOST_RATIO = 0.25, 4.0
_FALL, _RISE = 0.5, 1.25
_LIST = 20
_START, _LEAST = 0.1, 1e-6


class Price:
    """A factor on the satisfaction score, held so that the first three lose `budget` of their behavior.

    The behavior score is the level expected, so the loss of an order is known at once and without noise: the
    expected level of the first three by behavior less that of the first three as served. What that is in
    truth is learned from the levels observed; see `Worth`.

    A loss grows with the square of the factor, so the factor moves by the root of the budget over the price:
    by at most a quarter up and a half down in a step.

    Where a reference's scores are given, the budget is a share of the behavior of the reference's own first
    three: what the behavior score gains over them may be spent too, and what it lacks may not. What that gain
    is in truth is learned in the same way, from the behavior score and the reference's. It falls while the
    reference learns, so its memory is shorter: with that of the loss, 1.1 to 1.4 % were paid instead of 1.

    Lists are the requests of six viewed rows or more, where most of a step's viewed rows stand in such: of
    fewer the first three are most, whatever the order. Else they are whole requests of its answers, by the
    same rule, and else its rows in their order, twenty at a time, whoever viewed them. What is held there
    is held inside requests too: of 1 %, .8 to .9 % is paid in worlds (docs/decisions/model.md).
    """

    def __init__(self, budget: float, *, most: float) -> None:
        self._budget, self._most = budget, most
        self.factor = min(_START, most)
        self._loss, self._gain = Worth(_LOSS_MEMORY, _PRIOR_BEYOND), Worth(_GAIN_MEMORY, 0.0)
        # Level that the behavior score expects to be lost or gained, what that is worth, and the whole.
        self._recent, self._recent_gain = np.zeros(3), np.zeros(3)

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
        first = _first(list_L, behavior)
        whole = behavior[first].sum()
        as_served = _first(list_L, behavior + self.factor * satisfaction)
        score_L2 = np.stack([behavior, satisfaction], 1)
        self._recent = _MEMORY * self._recent + (*self._loss.of(score_L2, first, as_served), whole)
        if has_levels:
            level, is_told = np.asarray(level_M, np.float64)[row_L], _told(list_L, row_L, answer_M)
            self._loss.observe(score_L2, level, list_L, is_told, first, as_served)
            if reference_M is not None:
                reference = np.asarray(reference_M, np.float64)[row_L]
                score_L2, by_reference = np.stack([behavior, reference], 1), _first(list_L, reference)
                gained = self._gain.of(score_L2, first, by_reference)
                self._recent_gain = _MEMORY * self._recent_gain + (*gained, whole)
                self._gain.observe(score_L2, level, list_L, is_told, first, by_reference)
        price = self.ratio * float(self._recent[0]) / max(abs(float(self._recent[2])), 1e-9)
        change = (self.budget / max(price, 1e-9)) ** 0.5
        moved = self.factor * min(_RISE, max(_FALL, change))
        self.factor = min(max(moved, _LEAST), self._most)

    @property
    def budget(self) -> float:
        """The share of the behavior score's own behavior that may be lost."""
        expected, worth, own = self._recent_gain
        if not own:
            return self._budget
        gained = float(worth + self._gain.beyond * expected) / abs(float(own))
        return max(0.0, 1 - (1 - self._budget) * (1 - gained))

    @property
    def ratio(self) -> float:
        """The level lost per level that the behavior score expects to be lost."""
        expected, worth, _ = self._recent
        ratio = (worth / expected if expected > 0 else 1.0) + self._loss.beyond
        return min(_MOST_RATIO, max(_LEAST_RATIO, float(ratio)))

    @property
    def slopes(self) -> F64:
        """The level that one unit of the behavior score and one of satisfaction are worth inside a list."""
        return self._loss.slopes

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the factor and the sums."""
        sums = {"factor": np.array([self.factor]), "recent": self._recent, **self._loss.state()}
        if self._recent_gain.any():
            sums["recent_gain"] = self._recent_gain
            sums |= {f"gain_{name}": values for name, values in self._gain.state().items()}
        return sums

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        self.factor, self._recent = float(state["factor"][0]), state["recent"].astype(np.float64)
        self._loss.restore(state)
        if "gain_long" in state:
            self._recent_gain = state["recent_gain"].astype(np.float64)
            self._gain.restore({name: state[f"gain_{name}"] for name in self._gain.state()})


class Worth:
    """What the first three of one order have more of the level than those of another, from two scores.

    Least squares of the levels on both scores, inside lists, say what a difference in each is worth: the
    second score may know of the level what the first does not. The first begins at 1, the second at 0. What
    they leave over for each level that the first score expects is learned as well, because a score flatters
    those that it puts first. It begins at `prior_beyond`; in worlds it is about .2 of a loss. Lists with an
    answer are left out of both.
    """

    def __init__(self, memory: float, prior_beyond: float) -> None:
        self._memory, self._prior_beyond = memory, prior_beyond
        self._long = np.zeros(2)
        self._products, self._rows = np.zeros((3, 3)), 0.0

    def of(self, score_L2: F64, one: I64, other: I64) -> tuple[float, float]:
        """Return what `one` has more than `other` by the first score, and what both say that it is worth."""
        more_2 = _more(score_L2, one, other)
        return float(more_2[0]), float(more_2 @ self.slopes)

    def observe(
        self, score_L2: F64, level_L: F64, list_L: I64, is_told_L: Bool, one: I64, other: I64
    ) -> None:
        """Learn from the levels of lists without an answer."""
        one, other = one[~is_told_L[one]], other[~is_told_L[other]]
        real, more_2 = _more(level_L, one, other), _more(score_L2, one, other)
        self._long = self._memory * self._long + (real - more_2 @ self.slopes, more_2[0])
        known_L3 = _centered(np.column_stack([score_L2, level_L]), list_L)[~is_told_L]
        self._products = self._memory * self._products + known_L3.T @ known_L3
        self._rows = self._memory * self._rows + len(known_L3)

    @property
    def beyond(self) -> float:
        """The level, beyond what the slopes say, for each that the first score expects."""
        left_over, expected = self._long
        return float((left_over + self._prior_beyond * _PRIOR_LEVELS) / (expected + _PRIOR_LEVELS))

    @property
    def slopes(self) -> F64:
        """The level that one unit of each score is worth inside a list."""
        if not self._rows:
            return _PRIOR_SLOPES
        prior = np.diag(_PRIOR_ROWS * np.diag(self._products)[:2] / self._rows + 1e-12)
        moment = self._products[:2, 2] + prior @ _PRIOR_SLOPES
        return np.linalg.solve(self._products[:2, :2] + prior, moment).astype(np.float64)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the sums."""
        return {"long": self._long, "products": self._products, "rows": np.array([self._rows])}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        self._long, self._products = state["long"].astype(np.float64), state["products"].astype(np.float64)
        self._rows = float(state["rows"][0])


def _lists(request_N: I64, num_viewed: int) -> tuple[I64, I64, bool]:
    """Return rows in lists, the list of each, and whether their levels are known."""
    viewed, answered = request_N[:num_viewed], request_N[num_viewed:]
    for rows, first, has_levels in ((viewed, 0, True), (answered, num_viewed, False)):
        if len(rows):
            _, number, size = np.unique(rows, return_inverse=True, return_counts=True)
            chosen = np.flatnonzero(size[number] >= 2 * _FIRST)
            if 2 * len(chosen) >= len(rows):
                return first + chosen, np.unique(number[chosen], return_inverse=True)[1], has_levels
    whole = num_viewed - num_viewed % _LIST
    return np.arange(whole), np.arange(whole) // _LIST, True


def _more(value_L: F64, one: I64, other: I64) -> F64:
    """Return the sum of values over the rows of one order less that over those of another."""
    return np.asarray(value_L[one].sum(0) - value_L[other].sum(0), np.float64)


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
