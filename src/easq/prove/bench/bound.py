"""The most true satisfaction that the first three can have at a price in behavior, beside the methods.

Ranking by b + w s, with the true expected level b and the true satisfaction s: no other order of the requests
has more satisfaction in the first three for as much behavior (Lagrange). One w holds for a whole world. It is
chosen on the measured requests themselves, so the price is met exactly.

    bound@1%                     of the behavior of the method `behavior` 1 % is given up.
    bound@1%, learned behavior   the same, and b is what that method has learned.
    bound@1% of true_behavior    of the behavior of the ranking by b alone 1 % is given up.

Shapes: B requests, C candidates of each.
"""

from typing import NamedTuple

import numpy as np

from easq.arrays import F32, F64
from easq.prove.bench.measure import TOP, Lists, Measure

PRICES = (0.005, 0.01, 0.02, 0.05)
"""Shares of the expected behavior of the first three that a bound gives up."""
BASE, TRUE_BEHAVIOR = "behavior", "true_behavior"
_HALVINGS = 24


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
    """All measured requests of a pass, 17 bytes a view, from which bounds are found when it has ended."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []

    def add(self, lists: Lists, learned_BC: F64) -> None:
        """Keep a step's requests with the scores of the base. Their levels must be expected."""
        assert lists.expected_BC is not None
        narrow = (lists.level_BC, lists.truth_BC, lists.expected_BC, learned_BC)
        level_BC, truth_BC, expected_BC, score_BC = (array.astype(np.float32) for array in narrow)
        step = _Step(level_BC, truth_BC, lists.held_BC.astype(np.int8), expected_BC, score_BC)
        self._steps.append(step)

    def measure(self, bound: Bound, measure: Measure) -> None:
        """Add a bound's ranking to a measure, on the same requests as those of every other scorer."""
        share = self._share(bound)
        for step in self._steps:
            lists = Lists(step.level_BC, step.satisfaction_BC, step.held_BC, step.expected_BC)
            measure.add(lists, _mixed(_behavior(step, bound), step.satisfaction_BC, share))

    def _share(self, bound: Bound) -> float:
        """Return the weight of satisfaction: the most that costs no more than the price, of a total of 1."""
        expected_BC, satisfaction_BC, behavior_BC, base_BC = (
            np.concatenate(arrays) if self._steps else np.zeros((0, TOP + 1), np.float32)
            for arrays in (
                [step.expected_BC for step in self._steps],
                [step.satisfaction_BC for step in self._steps],
                [_behavior(step, bound) for step in self._steps],
                [step.expected_BC if bound.is_of_truth else step.learned_BC for step in self._steps],
            )
        )
        least = (1 - bound.price) * _of_the_first(base_BC, expected_BC)
        enough, too_much = 0.0, 1.0
        if _of_the_first(satisfaction_BC, expected_BC) >= least:
            return 1.0
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
