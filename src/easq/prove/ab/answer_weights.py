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
from easq.prove.answers.weight_bound import effective, inverse_weights


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
    worth_A = np.where(answered_A, asks["weight"] * response_A, 0.0)
    weight_A, clipped = inverse_weights(asks["propensity"], worth_A)
    used = weight_A[weight_A > 0]
    summary = ResponseSummary(
        len(answered_A),
        int(answered_A.sum()),
        effective(used),
        is_modeled(answered_A),
        int(np.count_nonzero(answered_A & ~is_known_A)),
        float(used.max() / used.sum()) if len(used) else 0.0,
        clipped,
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
