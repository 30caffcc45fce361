"""What viewers would say of our order and of the order that they saw, from rankings made in the shadow.

A ranking in the shadow holds what the platform showed, in its order, and what we would have put first.
Answers are about what was shown. So the chance that a viewer is satisfied is a logistic curve of our score,
fitted to the answers, and read for the first `PROPOSED` of both orders (a direct method, Dudik et al. 2011).
The scores are those of the log: each was given before its request was shown, and before anything about it was
learned. The curve cannot know whether an item that was not shown satisfies as its score says. Intervals
resample viewers, and fit the curve anew each time.
Shapes: Q requests, N candidates of all requests, A answers, T places of an order, B draws, V values.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct, field

from easq.arrays import F64, I64, Bool
from easq.errors import InputError
from easq.log.base import EventLog
from easq.log.events import Request
from easq.prove.ab.sums import DAY_MS
from easq.prove.ab.viewer_days import day_date
from easq.prove.answers.weight_bound import clipping
from easq.prove.offpolicy.estimators import Evidence, ValueEstimate, among_first, evidence
from easq.prove.offpolicy.request_rows import LoggedRows, floats, read_rows, standard
from easq.rank.record import PROPOSED
from easq.recipe.recipe import Recipe

_DRAWS = 400
_STEPS, _RIDGE = 12, 1.0
_FAR = 20.0


class Halves(Struct, frozen=True):
    """Satisfied shares of answers: about items that we score above the mean of what was shown, and others."""

    better: ValueEstimate | None
    worse: ValueEstimate | None


class ShadowEstimate(Struct, frozen=True):
    """Two orders of the same requests, by the expected satisfaction of their first `top`.

    first_day, last_day   UTC days of the requests (ISO dates), `from` and `to` in JSON.
    evidence              the answers about what was shown.
    shown, proposed       expected satisfied share of the first places as shown, and as we order them.
    change                `proposed` less `shown`, paired.
    said                  the satisfied share of the answers themselves, by our score; free of the curve.
    not_shown             share of our first places whose items the platform did not show.
    supported             whether the answers are enough to go by; `warnings` say what is weak.
    """

    first_day: str = field(name="from")
    last_day: str = field(name="to")
    requests: int
    viewers: int
    evidence: Evidence
    top: int
    confidence: float
    shown: ValueEstimate
    proposed: ValueEstimate
    change: ValueEstimate
    said: Halves
    not_shown: float
    supported: bool
    warnings: list[str]


class _Shadow:
    """Places the candidates of rankings in the shadow: all that was logged, and which of it was shown."""

    def counts(self, request: Request) -> bool:
        return request.is_shadow

    def columns(self, rows: LoggedRows) -> tuple[dict[str, F64], Bool]:
        shown_Q = np.array([r.num_returned for r in rows.requests])
        columns = {
            "rank": rows.rank_N.astype(np.float64),
            "is_shown": (rows.rank_N < shown_Q[rows.request_N]).astype(np.float64),
            "score": floats([r.scores for r in rows.requests]),
        }
        return columns, np.ones(len(rows.rank_N), bool)


class _Answers(NamedTuple):
    """Answers about what was shown: our score, and whether it is above the mean of what was shown with it."""

    score_A: F64
    satisfied_A: F64
    weight_A: F64
    is_better_A: Bool
    user_A: I64


class _Order(NamedTuple):
    """The first places of an order in all requests."""

    score_T: F64
    user_T: I64


def compare_orders(recipe: Recipe, log: EventLog, confidence: float = 0.95) -> ShadowEstimate | None:
    """Compare the order that viewers saw with ours, on the log's rankings in the shadow; None without any.

    Raises InputError if no answer is about what they showed.
    """
    rows = read_rows(recipe, log, _Shadow())
    if rows is None:
        return None
    score_N, is_shown_N = rows.placed["score"], rows.placed["is_shown"] > 0
    standard_N = standard(score_N, rows.request_N)
    answer_N, clipped = rows.answer_weights(standard_N[:, None])
    user_N = rows.user_Q[rows.request_N]
    used_N = (answer_N > 0) & is_shown_N
    if not used_N.any():
        raise InputError(
            f"{len(rows.user_Q):,} rankings were made in the shadow, and no answer is about what was shown"
        )
    is_better_N = score_N > _shown_mean(score_N, is_shown_N, rows.request_N)
    weight_A = answer_N[used_N] / answer_N[used_N].mean()
    answers = _Answers(
        standard_N[used_N], rows.satisfied_N[used_N], weight_A, is_better_N[used_N], user_N[used_N]
    )
    place_N = np.where(is_shown_N, -rows.placed["rank"], -np.inf)
    ours_N = among_first(rows.request_N, score_N, PROPOSED)
    orders = [
        _Order(standard_N[first_N], user_N[first_N])
        for first_N in (among_first(rows.request_N, place_N, PROPOSED) & is_shown_N, ours_N)
    ]
    num_users = int(rows.user_Q.max()) + 1
    value_BV = np.stack([_values(answers, orders, times_U) for times_U in _draws(num_users)])
    shown, proposed, change, better, worse = (_interval(value_B, confidence) for value_B in value_BV.T)
    assert shown is not None and proposed is not None and change is not None
    said = evidence(weight_A, answers.satisfied_A, answers.user_A)
    return ShadowEstimate(
        first_day=_day(rows.first_ms),
        last_day=_day(rows.last_ms),
        requests=len(rows.user_Q),
        viewers=num_users,
        evidence=said,
        top=PROPOSED,
        confidence=confidence,
        shown=shown,
        proposed=proposed,
        change=change,
        said=Halves(better, worse),
        not_shown=float(np.mean(~is_shown_N[ours_N])),
        supported=not said.lacking,
        warnings=[*said.weaknesses(), *clipping(clipped)],
    )


def _shown_mean(score_N: F64, is_shown_N: Bool, request_N: I64) -> F64:
    """Return, for each row, the mean score of what its request showed."""
    count_Q = np.bincount(request_N, is_shown_N)
    mean_Q = np.bincount(request_N, np.where(is_shown_N, score_N, 0.0)) / np.maximum(count_Q, 1)
    mean_N: F64 = mean_Q[request_N]
    return mean_N


def _draws(num_users: int) -> Iterator[F64]:
    """Yield how often each viewer counts: once, and then as in a Poisson bootstrap."""
    generator = np.random.default_rng(0)
    yield np.ones(num_users)
    for _ in range(_DRAWS):
        yield generator.poisson(1.0, num_users).astype(np.float64)


def _values(answers: _Answers, orders: Sequence[_Order], times_U: F64) -> F64:
    """Return both orders' values, their difference, and the satisfied shares of both halves (nan without)."""
    weight_A = answers.weight_A * times_U[answers.user_A]
    level, slope = _curve(answers, weight_A)
    shown, proposed = (
        _mean(_logistic(level + slope * order.score_T), times_U[order.user_T]) for order in orders
    )
    halves = (
        _mean(answers.satisfied_A[half_A], weight_A[half_A])
        for half_A in (answers.is_better_A, ~answers.is_better_A)
    )
    return np.array([shown, proposed, proposed - shown, *halves])


def _curve(answers: _Answers, weight_A: F64) -> tuple[float, float]:
    """Return level and slope of the satisfied chance by score, by Newton's method.

    Half an answer of each kind at a score of 0, and a ridge on the slope, keep the fit finite where all
    answers are alike or scores part them.
    """
    score_A = np.append(answers.score_A, [0.0, 0.0])
    satisfied_A = np.append(answers.satisfied_A, [0.0, 1.0])
    weight_A = np.append(weight_A, [0.5, 0.5])
    share = _mean(satisfied_A, weight_A)
    b_2 = np.array([np.log(share / (1 - share)), 0.0])
    x_A2 = np.stack([np.ones(len(score_A)), score_A], 1)
    penalty_2 = np.array([0.0, _RIDGE])
    for _ in range(_STEPS):
        chance_A = _logistic(x_A2 @ b_2)
        slope_2 = x_A2.T @ (weight_A * (chance_A - satisfied_A)) + penalty_2 * b_2
        curve_22 = (x_A2 * (weight_A * chance_A * (1 - chance_A))[:, None]).T @ x_A2 + np.diag(penalty_2)
        step_2 = np.linalg.solve(curve_22 + 1e-9 * np.eye(2), slope_2)
        b_2 -= step_2 * min(1.0, 2.0 / max(2.0, float(np.abs(step_2).max())))
    return float(b_2[0]), float(b_2[1])


def _mean(value_N: F64, weight_N: F64) -> float:
    whole = float(weight_N.sum())
    return float((value_N * weight_N).sum() / whole) if whole > 0 else float("nan")


def _interval(value_B: F64, confidence: float) -> ValueEstimate | None:
    """Return the value of all viewers with the percentiles of the draws; None where nothing was counted."""
    known_B = value_B[1:][~np.isnan(value_B[1:])]
    if np.isnan(value_B[0]) or not len(known_B):
        return None
    low, high = np.quantile(known_B, [(1 - confidence) / 2, (1 + confidence) / 2])
    value = float(value_B[0])
    return ValueEstimate(value, min(float(low), value), max(float(high), value))


def _logistic(value: F64) -> F64:
    chance: F64 = 1 / (1 + np.exp(-np.clip(value, -_FAR, _FAR)))
    return chance


def _day(ms: int) -> str:
    return day_date(ms // DAY_MS).isoformat()
