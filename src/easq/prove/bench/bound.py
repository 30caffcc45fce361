"""The most true satisfaction that the first three can have at a price in behavior, beside the methods.

Ranking by b + w s, with the true expected level b and the true satisfaction s: no other order of the requests
has more satisfaction in the first three for as much behavior (Lagrange). One w holds for a whole world. It is
chosen on the measured requests themselves, so the price is met exactly.

    bound@1%                     of the behavior of the method `behavior` 1 % is given up.
    bound@1%, learned behavior   the same, and b is what that method has learned.
    bound@1% of true_behavior    of the behavior of the ranking by b alone 1 % is given up.

Methods take different prices. So each is also mixed with the base until it costs a stated price exactly, by a
weight that is found in the same way: the metric `true_sat@3 at 1%`. One that costs less goes on in its
direction, away from the base: of a score that is the base's plus another, more of the other.

Shapes: B requests, C candidates of each.
"""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from easq.arrays import F32, F64
from easq.prove.bench.measure import TOP, Lists, Measure

PRICES = (0.005, 0.01, 0.02, 0.05)
"""Shares of the expected behavior of the first three that a bound gives up."""
BASE, TRUE_BEHAVIOR = "behavior", "true_behavior"
_HALVINGS = 24
_FURTHEST = 16.0  # times the way from the base to a method that costs less than the price


class Bound(NamedTuple):
    """A price, whether it is against the ranking by true behavior, and whether behavior is as learned."""

    price: float
    is_of_truth: bool = False
    is_learned: bool = False


def bound_name(bound: Bound) -> str:
    """Return the name of a bound in rows.

    >>> bound_name(Bound(0.005, is_learned=True))
    'bound@0.5%, learned behavior'
    """
    suffix = ", learned behavior" if bound.is_learned else f" of {TRUE_BEHAVIOR}" if bound.is_of_truth else ""
    return f"bound@{100 * bound.price:g}%{suffix}"


BOUNDS = {
    bound_name(bound): bound
    for kind in (Bound(0.0), Bound(0.0, is_learned=True), Bound(0.0, is_of_truth=True))
    for bound in (kind._replace(price=price) for price in PRICES)
}
"""All bounds by name."""


class _Step(NamedTuple):
    """The measured requests of a step, in few bytes."""

    level_BC: F32
    satisfaction_BC: F32
    held_BC: np.ndarray
    expected_BC: F32
    learned_BC: F32


class MeasuredRequests:
    """All measured requests of a pass, from which bounds are found when it has ended.

    They take 17 bytes a view, and 4 more for every method that is mixed with the base.
    """

    def __init__(self) -> None:
        self._steps: list[_Step] = []
        self._scores: defaultdict[str, list[F32]] = defaultdict(list)

    def add(self, lists: Lists, learned_BC: F64) -> None:
        """Keep a step's requests with the scores of the base. Their levels must be expected."""
        assert lists.expected_BC is not None
        narrow = (lists.level_BC, lists.truth_BC, lists.expected_BC, learned_BC)
        level_BC, truth_BC, expected_BC, score_BC = (array.astype(np.float32) for array in narrow)
        step = _Step(level_BC, truth_BC, lists.held_BC.astype(np.int8), expected_BC, score_BC)
        self._steps.append(step)

    def add_scores(self, name: str, score_BC: F64) -> None:
        """Keep a method's scores of a step's requests."""
        self._scores[name].append(score_BC.astype(np.float32))

    def at_prices(self, name: str) -> dict[str, float]:
        """Return the true satisfaction of the first three at each price, of a method mixed with the base."""
        if name not in self._scores:
            return {}
        score_BC, base_BC = np.concatenate(self._scores[name]), self._all("learned_BC")
        expected_BC, satisfaction_BC = self._all("expected_BC"), self._all("satisfaction_BC")
        score_BC, base_BC = (a_BC / max(float(a_BC.std()), 1e-12) for a_BC in (score_BC, base_BC))
        whole = _of_the_first(base_BC, expected_BC)
        found = {}
        for price in PRICES:
            share = _most_share(base_BC, score_BC, expected_BC, (1 - price) * whole, _FURTHEST)
            satisfied = _of_the_first(_mixed(base_BC, score_BC, share), satisfaction_BC)
            found[f"true_sat@{TOP} at {100 * price:g}%"] = satisfied / (TOP * max(1, len(base_BC)))
        return found

    def _all(self, name: str) -> F32:
        arrays = [getattr(step, name) for step in self._steps]
        return np.concatenate(arrays) if arrays else np.zeros((0, TOP + 1), np.float32)

    def measure(self, bound: Bound, measure: Measure) -> None:
        """Add a bound's ranking to a measure, on the same requests as those of every other scorer."""
        share = self._share(bound)
        for step in self._steps:
            lists = Lists(step.level_BC, step.satisfaction_BC, step.held_BC, step.expected_BC)
            measure.add(lists, _mixed(_behavior(step, bound), step.satisfaction_BC, share))

    def _share(self, bound: Bound) -> float:
        """Return the weight of satisfaction: the most that costs no more than the price, of a total of 1."""
        expected_BC, learned_BC = self._all("expected_BC"), self._all("learned_BC")
        behavior_BC = learned_BC if bound.is_learned else expected_BC
        base_BC = expected_BC if bound.is_of_truth else learned_BC
        least = (1 - bound.price) * _of_the_first(base_BC, expected_BC)
        return _most_share(behavior_BC, self._all("satisfaction_BC"), expected_BC, least)


def _most_share(
    behavior_BC: F32, satisfaction_BC: F32, expected_BC: F32, least: float, furthest: float = 1.0
) -> float:
    """Return the most weight of satisfaction, of 1, with which the first three have `least` behavior.

    A weight beyond 1, at most `furthest`, takes what is in behavior away from satisfaction.
    """
    enough, too_much = 0.0, 1.0
    while _of_the_first(_mixed(behavior_BC, satisfaction_BC, too_much), expected_BC) >= least:
        if too_much >= furthest:
            return too_much
        enough, too_much = too_much, min(2 * too_much, furthest)
    for _ in range(_HALVINGS):
        share = (enough + too_much) / 2
        if _of_the_first(_mixed(behavior_BC, satisfaction_BC, share), expected_BC) >= least:
            enough = share
        else:
            too_much = share
    return enough


def _behavior(step: _Step, bound: Bound) -> F32:
    return step.learned_BC if bound.is_learned else step.expected_BC


def _mixed(behavior_BC: F32, satisfaction_BC: F32, share: float) -> F64:
    mixed_BC: F64 = (1 - share) * behavior_BC.astype(np.float64) + share * satisfaction_BC.astype(np.float64)
    return mixed_BC


def _of_the_first(score_BC: F32 | F64, expected_BC: F32) -> float:
    """Return the summed expected level of each request's first three."""
    first_BT = np.argpartition(score_BC, -TOP, axis=1)[:, -TOP:]
    return float(np.take_along_axis(expected_BC, first_BT, 1).sum(dtype=np.float64))
