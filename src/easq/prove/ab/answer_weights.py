"""Inverse-probability weights of answers: for asks not made, and for asks not answered.

An answer counts 1 / (propensity of its ask * chance that such an ask is answered), times its quality weight.
The chance is modeled from the behavior on the view, the hour, and how often the viewer had been asked.
docs/answers.md says what such a model cannot see.
Shapes: A asks, P covariates.
"""

from typing import NamedTuple

import numpy as np
from msgspec import Struct, field

from easq.arrays import F64
from easq.prove.ab.chunks import Block
from easq.prove.answers.response_model import Design, is_modeled, log_values, response_weights, time_of_day

MOST_WEIGHT = 100.0
"""Times the median weight: no answer counts more, as in off-policy estimates."""
_FAR = 1e15


class NoAsks(Struct, frozen=True):
    """The log holds no ask of the question that trains."""


class ResponseSummary(Struct, frozen=True):
    """How many asks and answers a log holds, and what the weighted answers are worth.

    effective_answers    number of equally weighted answers with the same information.
    is_modeled          whether the chance of an answer was modeled; that takes both outcomes.
    without_propensity   answers to asks that logged no propensity; they weigh 0.
    largest              largest share of the whole weight on one answer.
    clipped              answers whose weight was cut off, at `MOST_WEIGHT` times the median.
    """

    asks: int
    answers: int
    effective_answers: float
    is_modeled: bool = field(name="modelled")
    without_propensity: int
    largest: float = 0.0
    clipped: int = 0


class AskWeights(NamedTuple):
    """Each ask's weight, 0 where it has no answer that counts, and a summary."""

    weight_A: F64
    summary: ResponseSummary


def weigh(asks: Block) -> AskWeights:
    """Weight the answers among asks; if all or none are answered, by the ask's propensity alone."""
    answered_A = asks["option"] >= 0
    response_A = response_weights(_design(asks), answered_A)
    is_known_A = asks["propensity"] > 0
    # A propensity may be so small that its inverse is not finite.
    with np.errstate(over="ignore", invalid="ignore"):
        asked_A = np.divide(1.0, asks["propensity"], out=np.zeros(len(answered_A)), where=is_known_A)
        full_A = np.where(answered_A, asks["weight"] * asked_A * response_A, 0.0)
    full_A[np.isnan(full_A)] = 0.0
    counting = full_A[full_A > 0]
    # The median is not moved by one weight without bound. Beyond the range only relations are kept.
    middle = float(np.median(counting)) if len(counting) else 1.0
    middle = middle if np.isfinite(middle) else float(np.finfo(np.float64).max)
    unit = middle if middle > _FAR else 1.0
    full_A, middle = full_A / unit, middle / unit
    weight_A = np.minimum(full_A, MOST_WEIGHT * middle)
    used = weight_A[weight_A > 0]
    effective = float(used.sum() ** 2 / (used**2).sum()) if len(used) else 0.0
    summary = ResponseSummary(
        len(answered_A),
        int(answered_A.sum()),
        effective,
        is_modeled(answered_A),
        int(np.count_nonzero(answered_A & ~is_known_A)),
        float(used.max() / used.sum()) if len(used) else 0.0,
        int(np.count_nonzero(full_A > weight_A)),
    )
    return AskWeights(weight_A, summary)


def _design(asks: Block) -> Design:
    value_AK = log_values(asks["value"])
    return Design.of(
        {
            **time_of_day(asks["ts"]),
            "ask number": np.log(asks["number"]),
            **{f"behavior {k}": value_A for k, value_A in enumerate(value_AK.T)},
        }
    )
