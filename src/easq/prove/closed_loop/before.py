"""Estimate, before the days that count, what the A/B test will find, from the control's drawn rankings.

Shapes: V visits, C candidates, N logged candidates, M models, T first places of a ranking.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct, field, structs
from numpy.typing import NDArray

from easq.arrays import F32, I64
from easq.errors import InputError
from easq.home.home import Home
from easq.log.events import Request
from easq.prove.offpolicy.arm_estimates import Sides, estimate_arm, two_arms
from easq.prove.offpolicy.estimators import ByEstimator, ValueEstimate
from easq.prove.offpolicy.request_rows import ties


class RankingTruth(Struct, frozen=True):
    """The mean true satisfaction of two models' first items, and the relative change."""

    control: float
    treatment: float
    lift: float


class LiftInterval(Struct, frozen=True):
    """A relative change with its interval."""

    lift: float
    low: float
    high: float


class EstimateBasis(Struct, frozen=True, kw_only=True):
    """What an estimate rests on; `first_day` and `last_day` are UTC days, `from` and `to` in JSON."""

    models: Sides[str]
    first_day: str = field(name="from")
    last_day: str = field(name="to")
    requests: int
    answers: int
    effective_answers: Sides[float]
    warnings: list[str]
    true_satisfaction: RankingTruth


class LiftEstimate(EstimateBasis, frozen=True, kw_only=True):
    """An estimated lift in satisfaction; `overlaps` says whether the A/B test's interval does."""

    lift: float
    low: float
    high: float
    lifts: ByEstimator[LiftInterval]
    why: str = ""
    overlaps: bool | None = None


class WeakEstimate(EstimateBasis, frozen=True, kw_only=True):
    """The answers are too few for an estimate; `why` says so."""

    why: str
    lift: None = None
    low: None = None
    high: None = None
    overlaps: None = None


class MissingEstimate(Struct, frozen=True):
    """Nothing could be estimated; `why` says so."""

    why: str
    lift: None = None
    low: None = None
    high: None = None
    overlaps: None = None


BeforeEstimate = LiftEstimate | WeakEstimate | MissingEstimate


class TrueRankings:
    """True satisfaction with the first items of rankings never shown, which only a simulation knows.

    `add_visits` records visits while `records` is set; `add_scores` takes logged requests and models' scores
    for them.
    """

    def __init__(self) -> None:
        self.records = True
        self._visits: dict[str, tuple[I64, F32]] = {}
        self._sum_M, self._num = np.zeros(2), 0

    def add_visits(self, replies: list[Any], item_VC: I64, satisfaction_VC: F32) -> None:
        """Add visits: the replies, the candidates, and the true satisfaction of each."""
        if not self.records:
            return
        order_VC = np.argsort(item_VC, 1)
        item_VC = np.take_along_axis(item_VC, order_VC, 1)
        satisfaction_VC = np.take_along_axis(satisfaction_VC, order_VC, 1)
        for reply, item_C, satisfaction_C in zip(replies, item_VC, satisfaction_VC, strict=True):
            self._visits[reply["request_id"]] = item_C, satisfaction_C

    def add_scores(self, requests: Sequence[Request], score_NM: NDArray[np.floating]) -> None:
        """Add the scores of logged requests by two models."""
        start = 0
        for request in requests:
            end = start + len(request.items)
            item_C, satisfaction_C = self._visits[request.event_id]
            place_N = np.searchsorted(item_C, [int(item[1:]) for item in request.items])
            tie_N = ties(request.items)
            first_MT = [np.lexsort((tie_N, -score_N))[: request.top] for score_N in score_NM[start:end].T]
            self._sum_M += satisfaction_C[place_N[np.array(first_MT)]].mean(1)
            self._num += 1
            start = end

    def means(self) -> RankingTruth:
        """Return both models' means and the relative change."""
        treatment, control = (self._sum_M / self._num).tolist()
        return RankingTruth(control, treatment, treatment / control - 1)


def estimate_before(home: Home, truth: TrueRankings) -> BeforeEstimate:
    """Estimate what the first experiment's second arm gains in satisfaction."""
    experiment = home.recipe.experiments[0]
    try:
        result = estimate_arm(home, experiment, two_arms(experiment, None, None), on_scores=truth.add_scores)
    except InputError as error:
        return MissingEstimate(str(error))
    effective = Sides(result.support.treatment.effective, result.support.control.effective)
    basis = EstimateBasis(
        models=result.models,
        first_day=result.first_day,
        last_day=result.last_day,
        requests=result.requests,
        answers=result.answers,
        effective_answers=effective,
        warnings=result.warnings,
        true_satisfaction=truth.means(),
    )
    if not result.supported:
        why = result.support.treatment.lacking or result.support.control.lacking
        return WeakEstimate(**structs.asdict(basis), why=why)
    lifts = ByEstimator(_interval(result.lift.snips), _interval(result.lift.doubly_robust))
    # Chosen in advance because its interval is shorter, not by its result.
    chosen = lifts.doubly_robust
    return LiftEstimate(**structs.asdict(basis), **structs.asdict(chosen), lifts=lifts)


def _interval(lift: ValueEstimate) -> LiftInterval:
    return LiftInterval(lift.value, lift.low, lift.high)
