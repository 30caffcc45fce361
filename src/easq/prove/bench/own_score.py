"""The last line of a bench on your own log: what a method brings over your score, and what it costs.

What viewers say is the AUC of held-back answers, each relative to its request (`sat/auc`); where most of
their requests hold no other view, that of the scores as they are (`sat/raw_auc`). The cost is a loss of pairs
of a request in the order of behavior (`pair_accuracy`), as a share of them. Both are paired over viewers.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from msgspec import Struct

from easq.prove.bench.bound import BASE
from easq.prove.bench.real_pass import BEHAVIOR, MethodScores
from easq.prove.offline.tally import MetricValue, Tally
from easq.prove.offpolicy.estimators import evidence

_IN_REQUESTS, _AMONG_ALL = "sat/auc", "sat/raw_auc"
_METHOD = "probe"


class ScorerSums(NamedTuple):
    """The sums of one scorer: those of a pass, in which its metrics begin with `prefix`."""

    name: str
    tally: Tally
    prefix: str = ""


class Comparison(Struct, frozen=True, kw_only=True):
    """A method against the platform's own score or, without one, against behavior alone.

    own        whether `against` is the platform's own score.
    outcome    of `answers`, by their interval.
    metric     which metric `answers` is of.
    answers    that of the method less that of `against`.
    behavior   what the behavior pairs that stand right change by, as a share of those of `against`.
    lacking    what the answers lack to show anything, in words; empty if nothing.
    line       all of it as one line.
    """

    method: str
    against: str
    own: bool
    outcome: Literal["beats", "behind", "not_shown"]
    metric: str
    answers: MetricValue
    behavior: MetricValue
    lacking: str
    line: str

    def how(self) -> str:
        """Return what the two numbers of the line are."""
        among = "each relative to its request" if self.metric == _IN_REQUESTS else "all requests together"
        return (
            f"What viewers say: AUC of the answers held back, {among}. Behavior: pairs of a request that "
            "stand as behavior does. Differences are paired over viewers, all seeds together."
        )


def against_of(scores: Mapping[str, MethodScores], own: str | None) -> ScorerSums:
    """Return what all are compared with: the platform's own score, or else the first method."""
    name, first = next(iter(scores.items()))
    return ScorerSums(name, first.tally) if own is None else ScorerSums(own, first.tally, f"{own}/")


def compare(scores: Mapping[str, MethodScores], own: str | None) -> Comparison | None:
    """Return the comparison of the probe, or of the first method but `behavior` where it did not run.

    `own` is the feature of the platform's score. None where a side of the comparison did not run.
    """
    methods = [name for name in scores if name != BASE]
    if not methods or (own is None and BASE not in scores):
        return None
    method = _METHOD if _METHOD in scores else methods[0]
    against = ScorerSums(BASE, scores[BASE].tally) if own is None else against_of(scores, own)
    ours, first = scores[method].tally, next(iter(scores.values()))
    metric = _IN_REQUESTS if 2 * first.listed >= first.held else _AMONG_ALL
    has_answers = metric in ours.names()
    answers = MetricValue(None, None, None)
    if has_answers:
        answers = MetricValue.of(ours.difference(against.tally, metric, against.prefix + metric))
    behavior = MetricValue(None, None, None)
    if BEHAVIOR in ours.names():
        behavior = MetricValue.of(ours.change(against.tally, BEHAVIOR, against.prefix + BEHAVIOR))
    lacking = _lacking(first) or ("" if has_answers else "its answers are all alike")
    outcome = _outcome(answers, lacking)
    name = "behavior alone" if own is None else f"your score ({own})"
    return Comparison(
        method=method,
        against=against.name,
        own=own is not None,
        outcome=outcome,
        metric=metric,
        answers=answers,
        behavior=behavior,
        lacking=lacking,
        line=f"{method} {_said(name, answers, outcome, lacking)}{_cost(behavior, outcome)}",
    )


def _lacking(scores: MethodScores) -> str:
    """Return what the answers that were held back lack, in any of the seeds, to show anything."""
    if not scores.told:
        return "no answer about a view was held back"
    user_A, satisfied_A = map(np.array, zip(*scores.told.values(), strict=True))
    found = evidence(np.ones(len(user_A)), satisfied_A.astype(np.float64), user_A)
    return found.lacking


def _outcome(answers: MetricValue, lacking: str) -> Literal["beats", "behind", "not_shown"]:
    if lacking or answers.low is None or answers.high is None or answers.low <= 0 <= answers.high:
        return "not_shown"
    return "beats" if answers.low > 0 else "behind"


def _said(against: str, answers: MetricValue, outcome: str, lacking: str) -> str:
    """Return how a method stands: how far ahead, how far behind, or signed where neither is shown."""
    value, low, high = (x or 0.0 for x in (answers.value, answers.low, answers.high))
    if outcome == "beats":
        return f"beats {against} on what viewers say by {value:.3f} ({low:.3f} to {high:.3f})"
    if outcome == "behind":
        return f"is behind {against} on what viewers say by {-value:.3f} ({-high:.3f} to {-low:.3f})"
    why = lacking or f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
    return f"is not shown to beat {against} on what viewers say: {why}"


def _cost(change: MetricValue, outcome: str) -> str:
    value, low, high = change.value, change.low, change.high
    if value is None or low is None or high is None:
        return "; its cost is not measured, for no request shows two views of different behavior"
    link = "; it" if outcome == "not_shown" else " and"
    if value > 0:
        return f"{link} brings {value:.1%} more behavior ({low:+.1%} to {high:+.1%})"
    return f"{link} costs {abs(value):.1%} of behavior ({0.0 - high:.1%} to {0.0 - low:.1%})"
