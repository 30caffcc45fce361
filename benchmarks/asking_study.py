"""Check the logged probability of an ask: apply the rule to the views of a world again and again.

Viewers who are satisfied watch more, and caps and cool-downs ask whoever watches much less of what they
watch: the rule asks unevenly, and asks are not a fair picture of views unless they are weighted.

Shapes: V eligible views in order of time, K strata, P covariates of a response model.
"""

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from easq.arrays import F32, F64, I64, Bool
from easq.ask.policy import (
    DAY_MS,
    Rule,
    Viewer,
    advance,
    chance_open,
    draw,
    gates,
    is_eligible,
    own_lately,
    rate_now,
)
from easq.recipe.questionnaire import AskSettings
from easq.sources.world.answering import AskRates, named_level, option
from easq.sources.world.simulate import World, WorldChunk

RULE = AskSettings(rate=0.08, cool_down_minutes=240.0, max_per_session=1, max_per_day=2)
"""A rule that asks so often that caps and cool-downs decide for whoever watches much."""

SATISFIED = 2
VIEWERS = 500
"""Viewers of one world."""

_POOL = 100  # asks of a stratum, at least
_VIEW_MS = 20_000
_VIEWS_A_DAY = 150
_REQUESTS = 12_000
_SHOWN = ("long_view", "like", "comment", "follow", "forward", "hate", "profile_enter")


@dataclass(frozen=True)
class Views:
    """Eligible views in order of time, and how many views there were in all.

    `option_V` is what each viewer would say if asked and willing, `felt_V` what moves that and who is
    willing; `seen_VP` is what a platform sees of a view once it is over.
    """

    user_V: I64
    ts_V: I64
    option_V: I64
    felt_V: F64
    seen_VP: F64
    num_seen: int


@dataclass(frozen=True)
class Run:
    """What the rule did with some views."""

    propensity_V: F64
    asked_V: Bool


def eligible_views(seed: int, num_requests: int = _REQUESTS, num_viewers: int = VIEWERS) -> Views:
    """Simulate a world and return the eligible views of its requests."""
    world = World(seed, AskRates(), num_viewers, 1000)
    world.views_per_day = _VIEWS_A_DAY * num_viewers
    chunks = list(world.chunks(num_requests))

    def joined(name: str) -> F64:
        return np.concatenate([getattr(c, name) for c in chunks]).astype(np.float64)

    user_R, ts_R = joined("user_R").astype(np.int64), joined("ts_R").astype(np.int64)
    # Satisfied viewers come oftener: the world itself ties the two only from one day to the next.
    count_U = np.bincount(user_R, minlength=num_viewers)
    satisfaction_R = joined("satisfaction_RC").mean(1)
    mean_U = np.bincount(user_R, satisfaction_R, num_viewers) / np.maximum(count_U, 1)
    activity_U = np.argsort(np.argsort(mean_U)) / num_viewers
    random = np.random.default_rng([seed, 7])
    takes_place_R = random.random(len(user_R)) < 0.03 + 0.97 * activity_U[user_R] ** 4
    rule, play_ms_RC = Rule.of(RULE), joined("play_s_RC") * 1000
    is_eligible_RC = np.array([[is_eligible(rule, ms, 0.0) for ms in row] for row in play_ms_RC.tolist()])
    row_V, column_V = np.nonzero(is_eligible_RC & takes_place_R[:, None])
    ts_V = ts_R[row_V] + (column_V + 1) * _VIEW_MS
    order_V = np.lexsort((column_V, row_V, ts_V))
    row_V, column_V, ts_V = row_V[order_V], column_V[order_V], ts_V[order_V]
    felt_V = joined("felt_RC")[row_V, column_V]
    style_V = world.viewers.answer_style_U[user_R[row_V]]
    option_V = option(named_level(felt_V.astype(np.float32), style_V, random))
    num_seen = int(takes_place_R.sum()) * world.candidates
    return Views(user_R[row_V], ts_V, option_V, felt_V, _seen(chunks, row_V, column_V), num_seen)


def platform(num_views: int, seed: int = 1) -> Views:
    """Return the views of so many worlds that there are `num_views` of them, as those of one platform."""
    worlds: list[Views] = []
    while sum(views.num_seen for views in worlds) < num_views:
        views = eligible_views(seed + len(worlds))
        worlds.append(replace(views, user_V=views.user_V + VIEWERS * len(worlds)))
    order_V = np.argsort(np.concatenate([views.ts_V for views in worlds]), kind="stable")

    def merged(name: str) -> F64:
        found: F64 = np.concatenate([getattr(views, name) for views in worlds])[order_V]
        return found

    columns = {name: merged(name) for name in ("user_V", "ts_V", "option_V", "felt_V", "seen_VP")}
    return Views(**columns, num_seen=sum(views.num_seen for views in worlds))  # type: ignore[arg-type]


def run(rule: Rule, views: Views, seed: int) -> Run:
    """Put all views to the rule with fresh draws; a quota is that of all of them."""
    sample_V = np.random.default_rng([seed, 8]).random(len(views.ts_V)).tolist()
    viewers: dict[int, Viewer] = {}
    propensity_V, asked_V = [], []
    day = used = 0
    for user, ts, sample in zip(views.user_V.tolist(), views.ts_V.tolist(), sample_V, strict=True):
        if ts // DAY_MS != day:
            day, used = ts // DAY_MS, 0
        viewer = advance(rule, viewers.get(user), ts)
        rate = rate_now(rule, used, ts, own_lately(rule, viewer))
        is_asked = all(gate.is_open for gate in gates(rule, viewer, used, rate, sample))
        propensity_V.append(rate * chance_open(rule, viewer))
        asked_V.append(is_asked)
        used += is_asked
        viewers[user] = draw(rule, viewer, rate, is_asked)
    return Run(np.array(propensity_V), np.array(asked_V, np.bool_))


class Redraw:
    """Puts the same views to a rule without a quota again and again; only the draws are new.

    Views whose draw is not below the rate cannot be asked and are passed over. What they did for the gates,
    to keep a session going, is worked out once and handed over as the session's name.
    """

    def __init__(self, rule: Rule, views: Views) -> None:
        if rule.daily_quota:
            raise ValueError("with a quota the rate depends on the draws; use run")
        self._rate, self._views = rule.rate, views
        self._rule = rule._replace(session_gap_ms=1 << 60)
        self._session_V = _sessions(rule, views)

    def asked(self, seed: int) -> Bool:
        """Return which views are asked with the draws of a seed, the same as in `run`."""
        wins_V = np.random.default_rng([seed, 8]).random(len(self._views.ts_V)) < self._rate
        viewers: dict[int, Viewer] = {}
        asked_V = np.zeros(len(wins_V), np.bool_)
        places = np.flatnonzero(wins_V)
        users, times = self._views.user_V[places].tolist(), self._views.ts_V[places].tolist()
        for place, user, ts in zip(places.tolist(), users, times, strict=True):
            viewer = advance(self._rule, viewers.get(user), ts, self._session_V[place])
            # Where the gates could be plays no part in where they are.
            viewer = viewer._replace(chances={})
            is_asked = all(gate.is_open for gate in gates(self._rule, viewer, 0, self._rate, 0.0))
            asked_V[place] = is_asked
            viewers[user] = draw(self._rule, viewer, self._rate, is_asked)
        return asked_V


class Calibration:
    """Asks against propensities by stratum of propensity, over runs whose viewers draw independently."""

    def __init__(self, edges_K: F64) -> None:
        self._edges = edges_K
        size = len(edges_K) + 1
        self.asked_K, self.expected_K = np.zeros(size), np.zeros(size)
        self._excess_K, self._spread_KK = np.zeros(size), np.zeros((size, size))

    @staticmethod
    def of(rate: float) -> "Calibration":
        """Return one with strata from a fiftieth of the rate to all of it."""
        return Calibration(rate * np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99]))

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


def _seen(chunks: list[WorldChunk], row_V: I64, column_V: I64) -> F64:
    def of_views(columns: list[F32]) -> F64:
        found: F64 = np.concatenate(columns)[row_V, column_V].astype(np.float64)
        return found

    played_V = np.log1p(of_views([c.play_s_RC for c in chunks]))
    shown = [of_views([c.behaviors[name] for c in chunks]) for name in _SHOWN]
    return np.stack([played_V, *shown], 1)


def _sessions(rule: Rule, views: Views) -> list[str]:
    """Return the name of each view's session: its viewer's first, second, and so on."""
    last: dict[int, tuple[int, int]] = {}
    names = []
    for user, ts in zip(views.user_V.tolist(), views.ts_V.tolist(), strict=True):
        seen, number = last.get(user, (ts, 1))
        number += ts - seen > rule.session_gap_ms
        last[user] = ts, number
        names.append(str(number))
    return names
