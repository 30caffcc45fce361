"""Off-policy estimates of satisfaction with a ranking never served, from a log of drawn rankings.

The value of a ranking is the mean satisfaction with those views among its first `top` that may be asked
about. The assumption is that a viewer's satisfaction with an item seen there does not depend on its place or
its neighbors. Candidates are the logged ones within reach of the draw (`explore.depth`); the other ranking
puts these in its own order. A view weighs 1 / the chance that its item stood among the first, if the other
ranking puts it there too; an answer also weighs the number of views that it represents. Intervals resample
nothing: viewers are the units, to first order (delta method).
Sources: SNIPS, Swaminathan and Joachims 2015; doubly robust, Dudik et al. 2011; items apart from their
list, Li et al. 2018 (item-position model).
Shapes: Q requests, N candidates of all requests, F features.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Generic, TypeVar

import numpy as np
from msgspec import Struct

from easq.arrays import F64, I64, Bool
from easq.prove.answers.weight_bound import effective

FEW, TOO_FEW = 100, 30
"""Even answers that a ranking's value should rest on; without so many, or so many viewers, it is none."""

_LARGE = 0.1
_RIDGE = 1.0
_LEAST_ANSWERING = 0.1
_LEAST_VALUE = 1e-6

T = TypeVar("T")


@dataclass(frozen=True)
class Explored:
    """Drawn requests by candidate. Candidates of a request stand together.

    first_N       whether it was seen among the first `top`.
    propensity_N  its chance to be there.
    answer_N      number of views that its answer represents; 0 without an answer.
    satisfied_N   1 for a satisfied answer.
    feature_NF    what a model of satisfaction may read: known before the view.
    user_Q        a number for each request's viewer.
    """

    request_N: I64
    user_Q: I64
    top: int
    first_N: Bool
    propensity_N: F64
    answer_N: F64
    satisfied_N: F64
    feature_NF: F64


class Evidence(Struct, frozen=True):
    """The answers that an estimate rests on.

    answers            number of usable answers; `effective` is the equal number of evenly weighted ones.
    responders         who gave them: how much viewers differ is what an interval is made of.
    differ             whether answers differ at all; chance cannot be measured where they do not.
    largest            largest share of the whole weight on one answer.
    """

    answers: int
    effective: float
    responders: int
    differ: bool
    largest: float

    @property
    def lacking(self) -> str:
        """Return what the estimate lacks to be one, empty if nothing."""
        if self.effective < TOO_FEW:
            return f"its answers are worth {self.effective:.0f} even ones and {TOO_FEW} are needed"
        return next(iter(self._unmeasured()), "")

    def weaknesses(self) -> list[str]:
        """Return what is weak about the answers, in words; empty if nothing."""
        notes = []
        if self.effective < FEW:
            weak = "too few to go by" if self.effective < TOO_FEW else "few"
            notes.append(
                f"its {self.answers:,} answers are worth {self.effective:.0f} even ones, which is {weak} "
                f"({FEW} are wanted)"
            )
        notes += self._unmeasured()
        if self.largest > _LARGE:
            notes.append(f"one answer has {self.largest:.0%} of all weight")
        return notes

    def _unmeasured(self) -> list[str]:
        """Return why the answers do not tell how far chance reaches."""
        notes = []
        if self.responders < TOO_FEW:
            notes.append(f"{self.responders:,} viewers gave its answers and {TOO_FEW} are needed")
        if not self.differ:
            notes.append("its answers are all alike, so chance cannot be measured")
        return notes


def evidence(weight_A: F64, satisfied_A: F64, user_A: I64) -> Evidence:
    """Return what answers of these weights amount to; there must be one."""
    return Evidence(
        len(weight_A),
        effective(weight_A),
        len(np.unique(user_A)),
        bool((satisfied_A != satisfied_A[0]).any()),
        float(weight_A.max() / weight_A.sum()),
    )


class Support(Evidence, frozen=True):
    """How well the log supports an estimate of a ranking: its answers are those about what it would show.

    unsupported        share of the ranking's places whose item could not stand there in the log.
    clipped            share of the weight that was cut off.
    mean_weight        mean over everything that could be shown; about 1 if propensities are right and all of
                       it was seen.
    """

    unsupported: float
    clipped: float
    mean_weight: float


class ValueEstimate(Struct, frozen=True):
    """An estimate of a ranking's satisfaction or of its relative change, with its interval."""

    value: float
    low: float
    high: float


class ByEstimator(Struct, Generic[T], frozen=True):
    """The same quantity by both estimators."""

    snips: T
    doubly_robust: T


@dataclass(frozen=True)
class OffPolicyEstimate:
    """A ranking's estimated value by both estimators, and each viewer's influence on them."""

    snips: ValueEstimate
    doubly_robust: ValueEstimate
    support: Support
    snips_U: F64
    doubly_robust_U: F64


def estimate(
    log: Explored, score_N: F64, most_weight: float = 100.0, confidence: float = 0.95
) -> OffPolicyEstimate:
    """Estimate the value of the ranking by `score_N`; weights are cut off at `most_weight`.

    Cutting off bounds the influence of one answer and biases the estimate toward the log's own ranking.
    Raises ValueError if no answer can be used.
    """
    target_N = among_first(log.request_N, score_N, log.top)
    uses_N = target_N & log.first_N
    counts_N = uses_N & (log.propensity_N > 0)
    full_N = np.divide(1.0, log.propensity_N, out=np.zeros(len(score_N)), where=counts_N)
    weight_N = np.minimum(full_N, most_weight)
    answered_N = weight_N * log.answer_N
    if not answered_N.sum() > 0:
        raise ValueError("no answer of the log is of a view that this ranking would show")
    user_N = log.user_Q[log.request_N]
    model_N = np.clip(_modeled(log, user_N, log.answer_N, log.satisfied_N), 0.0, 1.0)
    # The chance that a view can have an answer at all: an A/B test measures only such views.
    answering_N = _modeled(log, user_N, log.first_N.astype(np.float64), log.answer_N)
    answering_N = np.maximum(answering_N, _LEAST_ANSWERING * log.answer_N[log.first_N].mean())
    num_users = int(log.user_Q.max()) + 1

    def per_user(value_N: F64) -> F64:
        return np.asarray(np.bincount(user_N, value_N, num_users), np.float64)

    snips, snips_U = _ratio(per_user(answered_N * log.satisfied_N), per_user(answered_N))
    direct, direct_U = _ratio(per_user(target_N * answering_N * model_N), per_user(target_N * answering_N))
    missed, missed_U = _ratio(per_user(answered_N * (log.satisfied_N - model_N)), per_user(answered_N))
    is_used_N = answered_N > 0
    said = evidence(answered_N[is_used_N], log.satisfied_N[is_used_N], user_N[is_used_N])
    support = Support(
        said.answers,
        said.effective,
        said.responders,
        said.differ,
        said.largest,
        float(np.mean(log.propensity_N[target_N] <= 0)),
        float(1 - weight_N.sum() / full_N.sum()),
        float(full_N.sum() / target_N.sum()),
    )
    robust_U = direct_U + missed_U
    return OffPolicyEstimate(
        _value(snips, snips_U, confidence),
        _value(direct + missed, robust_U, confidence),
        support,
        snips_U,
        robust_U,
    )


def lift(
    new: OffPolicyEstimate, old: OffPolicyEstimate, confidence: float = 0.95
) -> ByEstimator[ValueEstimate]:
    """Return the relative change from one ranking to another by both estimators, on the same log.

    The interval takes into account that the same viewers are behind both estimates. Raises ValueError if the
    old ranking's value is not above 0, since no change is relative to that.
    """
    return ByEstimator(
        _lift("snips", (new.snips, old.snips), (new.snips_U, old.snips_U), confidence),
        _lift(
            "doubly_robust",
            (new.doubly_robust, old.doubly_robust),
            (new.doubly_robust_U, old.doubly_robust_U),
            confidence,
        ),
    )


def _lift(
    name: str, values: tuple[ValueEstimate, ValueEstimate], influences: tuple[F64, F64], confidence: float
) -> ValueEstimate:
    value, base = (estimated.value for estimated in values)
    if not base > _LEAST_VALUE:
        raise ValueError(
            f"the ranking that is compared with has the value {base:.3f} ({name}), and a change is "
            f"relative to a value above {_LEAST_VALUE:g}: too few answers are satisfied"
        )
    new_U, old_U = influences
    return _value(value / base - 1, new_U / base - old_U * value / base**2, confidence)


def among_first(request_N: I64, score_N: F64, top: int) -> Bool:
    """Return which candidates a ranking puts among the first of their requests; ties go to the first row.

    Because of ties, the order of rows must not depend on the draw.
    """
    order_N = np.lexsort((-score_N, request_N))
    sorted_N = request_N[order_N]
    rank_N = np.empty(len(order_N), np.int64)
    rank_N[order_N] = np.arange(len(order_N)) - np.searchsorted(sorted_N, sorted_N)
    return np.asarray(rank_N < top)


def _modeled(log: Explored, user_N: I64, weight_N: F64, value_N: F64) -> F64:
    """Return each candidate's value by a linear model of the weighed values of other viewers.

    Viewers are split into two halves, each modeled from the other, so that no answer corrects itself.
    """
    x_NF = np.concatenate([np.ones((len(user_N), 1)), log.feature_NF], 1)
    penalty = np.diag([0.0, *[_RIDGE] * log.feature_NF.shape[1]])
    modeled_N = np.zeros(len(user_N))
    for half in (0, 1):
        own_N = user_N % 2 == half
        train_N = ~own_N & (weight_N > 0)
        if not train_N.any():
            train_N = weight_N > 0
        x, weight = x_NF[train_N], weight_N[train_N] / weight_N[train_N].mean()
        curve = (x * weight[:, None]).T @ x + penalty + 1e-9 * np.eye(x.shape[1])
        slope = np.linalg.solve(curve, (x * weight[:, None]).T @ value_N[train_N])
        modeled_N[own_N] = x_NF[own_N] @ slope
    return modeled_N


def _ratio(part_U: F64, whole_U: F64) -> tuple[float, F64]:
    """Return a quotient of sums and each viewer's influence on it."""
    whole = whole_U.sum()
    value = float(part_U.sum() / whole)
    return value, (part_U - value * whole_U) / whole


def _value(value: float, influence_U: F64, confidence: float) -> ValueEstimate:
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * float(np.sqrt((influence_U**2).sum()))
    return ValueEstimate(value, value - reach, value + reach)
