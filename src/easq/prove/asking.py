"""Is the logged probability of an ask true? Views of a world are put to the rule, again and again.

Viewers who are satisfied watch more, and caps and cool-downs ask whoever watches much less of what they
watch. So the plain mean of the answers is wrong, and the mean weighted by 1 / propensity is not.

Shapes: V eligible views in order of time, A asked views, K strata.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from easq.ask.policy import Rule, Viewer, advance, chance_open, draw, gates, is_eligible, rate_now
from easq.schema import Ask
from easq.world.simulate import Rates, World

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

RULE = Ask(rate=0.08, cool_down_minutes=240.0, max_per_session=1, max_per_day=2)
"""A rule that asks so often that caps and cool-downs decide for whoever watches much."""

_POOL = 100  # asks of a stratum, at least
_VIEW_MS = 20_000
_VIEWS_A_DAY = 150


@dataclass(frozen=True)
class Views:
    """Eligible views in order of time, their true satisfaction, and how many views there were in all."""

    user_V: Ids
    ts_V: Ids
    satisfaction_V: Floats
    num_seen: int


@dataclass(frozen=True)
class Run:
    """What the rule did with some views."""

    propensity_V: Floats
    asked_V: NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A mean with the half-width of its interval."""

    mean: float
    half_width: float

    def covers(self, truth: float) -> bool:
        """Return whether the interval holds the truth."""
        return abs(self.mean - truth) <= self.half_width


def eligible_views(seed: int, num_requests: int, num_viewers: int = 500) -> Views:
    """Let a world live and return the eligible views of those requests that take place."""
    world = World(seed, Rates(), num_viewers, 1000)
    world.views_per_day = _VIEWS_A_DAY * num_viewers
    chunks = list(world.chunks(num_requests))
    user_R, ts_R = (np.concatenate([getattr(c, name) for c in chunks]) for name in ("user_R", "ts_R"))
    satisfaction_RC = np.concatenate([c.satisfaction_RC for c in chunks]).astype(np.float64)
    play_s_RC = np.concatenate([c.play_s_RC for c in chunks])
    count_U = np.bincount(user_R, minlength=num_viewers)
    mean_U = np.bincount(user_R, satisfaction_RC.mean(1), num_viewers) / np.maximum(count_U, 1)
    activity_U = np.argsort(np.argsort(mean_U)) / num_viewers
    takes_place_R = (
        np.random.default_rng([seed, 7]).random(len(user_R)) < 0.03 + 0.97 * activity_U[user_R] ** 4
    )
    rule = Rule.of(RULE)
    place = [
        (ts_R[r] + (c + 1) * _VIEW_MS, r, c)
        for r in np.flatnonzero(takes_place_R)
        for c in range(world.candidates)
        if is_eligible(rule, float(play_s_RC[r, c]) * 1000, 0.0)
    ]
    place.sort()
    ts_V, row_V, column_V = np.array(place, np.int64).T
    num_seen = int(takes_place_R.sum()) * world.candidates
    return Views(user_R[row_V], ts_V, satisfaction_RC[row_V, column_V], num_seen)


def run(rule: Rule, views: Views, seed: int) -> Run:
    """Put all views to the rule with fresh draws."""
    sample_V = np.random.default_rng([seed, 8]).random(len(views.ts_V)).tolist()
    viewers: dict[int, Viewer] = {}
    propensity_V, asked_V = [], []
    for user, ts, sample in zip(views.user_V.tolist(), views.ts_V.tolist(), sample_V, strict=True):
        viewer = advance(rule, viewers.get(user), ts)
        rate = rate_now(rule, 0, ts)
        is_asked = all(gate.is_open for gate in gates(rule, viewer, 0, rate, sample))
        propensity_V.append(rate * chance_open(rule, viewer))
        asked_V.append(is_asked)
        viewers[user] = draw(rule, viewer, rate, is_asked)
    return Run(np.array(propensity_V), np.array(asked_V, np.bool_))


class Calibration:
    """Asks against propensities by stratum of propensity, over many runs of independent viewers."""

    def __init__(self, edges_K: Floats) -> None:
        self._edges = edges_K
        size = len(edges_K) + 1
        self.asked_K, self.expected_K = np.zeros(size), np.zeros(size)
        self._excess_K, self._spread_KK = np.zeros(size), np.zeros((size, size))

    def add(self, views: Views, found: Run) -> None:
        """Count one run; the draws of a viewer depend on each other, those of two viewers do not."""
        stratum_V = np.searchsorted(self._edges, found.propensity_V, side="right")
        size = len(self.asked_K)
        self.asked_K += np.bincount(stratum_V, found.asked_V, size)
        self.expected_K += np.bincount(stratum_V, found.propensity_V, size)
        excess_UK = np.zeros((int(views.user_V.max()) + 1, size))
        np.add.at(excess_UK, (views.user_V, stratum_V), found.asked_V - found.propensity_V)
        self._excess_K += excess_UK.sum(0)
        self._spread_KK += excess_UK.T @ excess_UK

    def p_value(self) -> float:
        """Return how likely so large a misfit is if the propensities are true (chi-square, K degrees)."""
        # Strata of few asks are put together with the next ones: the statistic is for large counts.
        pool_K = np.minimum(np.cumsum(self.expected_K) // _POOL, self.expected_K.sum() // _POOL - 1)
        pooled_PK = (np.unique(pool_K)[:, None] == pool_K).astype(np.float64)
        excess_P, spread_PP = pooled_PK @ self._excess_K, pooled_PK @ self._spread_KK @ pooled_PK.T
        statistic = float(excess_P @ np.linalg.solve(spread_PP, excess_P))
        degrees = len(excess_P)
        # Wilson and Hilferty 1931: the cube root of a chi-square is nearly normal.
        spare = 2 / (9 * degrees)
        return 1 - NormalDist().cdf(((statistic / degrees) ** (1 / 3) - 1 + spare) / spare**0.5)


def estimates(
    views: Views, found: Run, seed: int, confidence: float = 0.95
) -> tuple[Estimate, Estimate, float]:
    """Return weighted and plain mean satisfaction of the asked views, and the truth of all askable ones."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    askable_V = found.propensity_V > 0
    truth = float(views.satisfaction_V[askable_V].mean())
    satisfied_V = np.random.default_rng([seed, 9]).random(len(askable_V)) < views.satisfaction_V
    said_A = satisfied_V[found.asked_V].astype(np.float64)
    propensity_A = found.propensity_V[found.asked_V]
    weight_A = 1 / propensity_A
    weighted = float(weight_A @ said_A / weight_A.sum())
    spread = float(np.sum((weight_A * (said_A - weighted)) ** 2)) ** 0.5 / float(weight_A.sum())
    plain = float(said_A.mean())
    plain_spread = float(np.std(said_A, ddof=1)) / len(said_A) ** 0.5
    return Estimate(weighted, z * spread), Estimate(plain, z * plain_spread), truth


@dataclass(frozen=True)
class Verdict:
    """What many runs showed; coverages are of intervals of 95 %."""

    views: int
    runs: int
    asks: int
    p_value: float
    weighted_coverage: float
    plain_coverage: float
    weighted_error: float
    plain_error: float


def prove(num_views: int, requests: int = 12_000, ask: Ask = RULE, seed: int = 1) -> Iterator[Verdict]:
    """Yield the verdict so far after each run, until there were so many views."""
    rule = Rule.of(ask)
    calibration = Calibration(ask.rate * np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99]))
    seen = runs = asks = 0
    covered, errors = np.zeros(2), np.zeros(2)
    while seen < num_views:
        views = eligible_views(seed + runs, requests)
        found = run(rule, views, seed + runs)
        calibration.add(views, found)
        *both, truth = estimates(views, found, seed + runs)
        covered += [estimate.covers(truth) for estimate in both]
        errors += [estimate.mean - truth for estimate in both]
        seen, runs, asks = seen + views.num_seen, runs + 1, asks + int(found.asked_V.sum())
        yield Verdict(
            seen, runs, asks, calibration.p_value(), *(covered / runs).tolist(), *(errors / runs).tolist()
        )
