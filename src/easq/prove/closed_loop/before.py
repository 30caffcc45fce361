"""Before the days that count: what the A/B will find, estimated from the control arm's drawn rankings.

Shapes: V visits, C candidates, N logged candidates, M models, T places to come first.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, I64
from easq.errors import InputError
from easq.home.home import Home
from easq.log.events import Request
from easq.prove.offpolicy.arm_estimates import TOO_FEW, estimate_arm, two_arms
from easq.prove.offpolicy.drawn_log import ties


class TrueRankings:
    """The true satisfaction with the first items of rankings that nobody was shown; only a simulation has it.

    `offered` hears of visits while it `listens`; `heard` of logged requests and of models' scores for them.
    """

    def __init__(self) -> None:
        self.listens = True
        self._visits: dict[str, tuple[I64, F32]] = {}
        self._sum_M, self._num = np.zeros(2), 0

    def offered(self, replies: list[Any], item_VC: I64, satisfaction_VC: F32) -> None:
        """Take visits: the replies, the candidates, and how each would satisfy."""
        if not self.listens:
            return
        order_VC = np.argsort(item_VC, 1)
        item_VC = np.take_along_axis(item_VC, order_VC, 1)
        satisfaction_VC = np.take_along_axis(satisfaction_VC, order_VC, 1)
        for reply, item_C, satisfaction_C in zip(replies, item_VC, satisfaction_VC, strict=True):
            self._visits[reply["request_id"]] = item_C, satisfaction_C

    def heard(self, requests: Sequence[Request], score_NM: NDArray[np.floating]) -> None:
        """Take the scores of logged requests by two models."""
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

    def means(self) -> dict[str, float]:
        """Return both models' means and the relative change."""
        treatment, control = (self._sum_M / self._num).tolist()
        return {"control": control, "treatment": treatment, "lift": treatment / control - 1}


def estimate_before(home: Home, truth: TrueRankings) -> dict[str, Any]:
    """Return what the first experiment's second arm is estimated to gain in satisfaction, fit for JSON.

    Where the log does not carry an estimate, `lift`, `low` and `high` are None and `why` says it.
    """
    experiment = home.recipe.experiments[0]
    try:
        found = estimate_arm(home, experiment, two_arms(experiment, None, None), heard=truth.heard)
    except InputError as error:
        return none(str(error))
    effective = {side: support["effective"] for side, support in found["support"].items()}
    told = {
        "models": found["models"],
        "from": found["from"],
        "to": found["to"],
        "requests": found["requests"],
        "answers": found["answers"],
        "effective_answers": effective,
        "warnings": found["warnings"],
        "true_satisfaction": truth.means(),
    }
    if not found["supported"]:
        least = min(effective.values())
        return {**none(f"its answers are worth {least:.0f} even ones and {TOO_FEW} are needed"), **told}
    lifts = {name: _lift(value) for name, value in found["lift"].items()}
    # Named beforehand, not chosen by its result: its interval is the shorter one.
    return {**lifts["doubly_robust"], "why": "", "lifts": lifts, **told}


def none(why: str) -> dict[str, Any]:
    """Return an estimate that there is not, and why."""
    return {"lift": None, "low": None, "high": None, "why": why}


def _lift(found: dict[str, float]) -> dict[str, float]:
    return {"lift": found["value"], "low": found["low"], "high": found["high"]}
