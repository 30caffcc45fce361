"""Rank a query: look up values, encode, score, explore, record.

Shapes: N candidates of one request, L of them logged.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np

from easq.arrays import F32, I64
from easq.errors import InputError
from easq.features.columns import Columns
from easq.features.encode import ServingEncoder
from easq.log.events import Request
from easq.log.ids import stable_id, time_ordered_id
from easq.rank.arm_lookup import ArmLookup
from easq.rank.explore import explore
from easq.rank.parameters import Parameters
from easq.rank.query import ParsedQuery, Query, QueryParser
from easq.rank.record import PROPOSED, RankingRecord, logged_ranks
from easq.recipe.assignment import arms_in
from easq.recipe.recipe import Recipe


class RankResult(NamedTuple):
    """A ranking, best first, and its event, which must be on the log before anybody sees the ranking."""

    event: Request
    items: list[str]
    scores: F32
    version: str
    arm: str


class Knowledge(Protocol):
    """The stored values of viewers and items, as of `offsets` of the log (see `Profiles`)."""

    offsets: list[int]

    def viewer(self, user_id: str, ts: int) -> Columns:
        """Return the viewer's values: one row, which the caller may change."""
        ...

    def candidates(self, items: list[str], ts: int) -> Columns:
        """Return the items' values: one row each, which the caller may change."""
        ...


class Engine:
    """Ranks by the recipe's features and the newest parameters. For the thread that scores.

    The first `log_top` of a ranking are logged, and `log_sample` of the others. `arms` are the parameters of
    the arms that have their own, by `experiment/arm`. All read the same features, which are encoded once.
    """

    def __init__(
        self,
        recipe: Recipe,
        knowledge: Knowledge,
        parameters: Parameters,
        log_top: int,
        log_sample: int,
        arms: Mapping[str, Parameters] = MappingProxyType({}),
    ) -> None:
        self._encoder = encoder = ServingEncoder(recipe.features, recipe.row_salt)
        # Checks a query and turns its feature values into arrays; `rank` trusts what it returns.
        self.parse = QueryParser(encoder.viewer_shape, encoder.candidate_shape).parse
        self._knowledge, self._parameters = knowledge, parameters
        self._arm_lookup, self._arms = ArmLookup(recipe), dict(arms)
        self._log_top, self._log_sample = log_top, log_sample
        self._explore = recipe.explore
        own = recipe.reference
        names = [number.name for number in encoder.candidate_shape.numbers]
        self._chances = [(name, names.index(name)) for name in getattr(recipe.method, "chances", ())]
        self._reference = None if own is None else (own.feature, names.index(own.feature))

    @property
    def version(self) -> str:
        """Return the name of the current parameters."""
        return self._parameters.name

    @property
    def is_ready(self) -> bool:
        """Return whether there are parameters to score with, including those of every arm."""
        return all(parameters.seq >= 0 for parameters in (self._parameters, *self._arms.values()))

    @property
    def versions(self) -> dict[str, str]:
        """Return the names of the parameters of the arms that have their own."""
        return {arm: parameters.name for arm, parameters in self._arms.items()}

    def rank(self, query: Query | ParsedQuery, now_ms: int) -> RankResult:
        """Rank the query's candidates.

        Raises InputError for a query that `parse` refuses, naming the field, what was given and what is
        allowed.
        """
        if isinstance(query, Query):
            query = self.parse(
                query.user_id,
                query.candidates,
                query.context,
                query.features,
                query.limit,
                shown=query.shown,
            )
        viewer, candidates = self._hydrate(query, now_ms)
        self._check_scores(candidates)
        # In the shadow nothing of ours is served, so the viewer is in no arm and nothing is explored.
        is_shadow = query.shown_S is not None
        arm = "" if is_shadow else self._arm_lookup.label(query.user_id, viewer)
        parameters = self._served_by(arm)
        scores_N = parameters.score(self._encoder.encode(viewer, candidates))
        request_id = time_ordered_id(now_ms)
        order_N, propensity_N = self._order(request_id, scores_N, explores=not is_shadow)
        logged_N, num_returned, log_top = order_N, query.limit, self._log_top
        if query.shown_S is not None:
            logged_N = _shown_first(query.shown_S, order_N)
            num_returned = len(query.shown_S)
            log_top = max(log_top, num_returned + PROPOSED)
        record = RankingRecord(
            request_id=request_id,
            user_id=query.user_id,
            ts=now_ms,
            items=query.candidates,
            viewer=viewer,
            candidates=candidates,
            scores_N=scores_N,
            order_N=logged_N,
            propensity_N=propensity_N,
            top=0 if propensity_N is None else self._explore.top,
            arm=arm,
            version=parameters.name,
            as_of=list(self._knowledge.offsets),
            limit=num_returned,
            is_shadow=is_shadow,
        )
        rank_L = logged_ranks(request_id, len(order_N), log_top, self._log_sample)
        event = record.event(rank_L, self._encoder.viewer_shape, self._encoder.candidate_shape)
        returned = order_N[: query.limit]
        items = [query.candidates[n] for n in returned.tolist()]
        return RankResult(event, items, scores_N[returned], event.version, event.arm)

    def warm_up(self, now_ms: int) -> None:
        """Rank a candidate for nobody, with what every ranking must bring."""
        brought = [name for name, _ in self._chances]
        if self._reference is not None:
            brought.append(self._reference[0])
        self.rank(Query("", ["\0warm-up"], features={name: [0.0] for name in brought}), now_ms)

    def _hydrate(self, query: ParsedQuery, now_ms: int) -> tuple[Columns, Columns]:
        """Return the values of the viewer and of the candidates; those in the query come first."""
        viewer = query.context.put_into(self._knowledge.viewer(query.user_id, now_ms))
        candidates = query.features.put_into(self._knowledge.candidates(query.candidates, now_ms))
        return viewer, candidates

    def _check_scores(self, candidates: Columns) -> None:
        """Raise InputError if no candidate has the score that the base is, or if a chance is none."""
        for name, number in self._chances:
            value_N = candidates.numbers_NM[:, number]
            wrong_N = value_N[(value_N < 0) | (value_N > 1)]
            if len(wrong_N):
                raise InputError(
                    f"features.{name}: got {float(wrong_N[0]):g}; allowed: chances from 0 to 1, because "
                    "method.chances of the recipe names it"
                )
        if self._reference is None:
            return
        name, number = self._reference
        if np.isnan(candidates.numbers_NM[:, number]).all():
            raise InputError(
                f"features.{name}: got none; allowed: a number for each candidate, because [reference] of "
                "the recipe ranks by it"
            )

    def _served_by(self, label: str) -> Parameters:
        """Return the parameters that serve a label; at most one of its arms has its own."""
        own = (self._arms[part] for part in arms_in(label) if part in self._arms)
        return next(own, self._parameters)

    def _order(self, request_id: str, scores_N: F32, explores: bool) -> tuple[I64, F32 | None]:
        """Return the ranking to show, and its propensities if it is explored."""
        # Equal scores stay in the order in which the platform gave them.
        order_N = np.argsort(-scores_N, kind="stable")
        if not (explores and self._explore.share):
            return order_N, None
        seed = stable_id(request_id) & 0xFFFFFFFFFFFFFFFF
        return explore(scores_N, order_N, self._explore, np.random.default_rng(seed))


def _shown_first(shown_S: I64, order_N: I64) -> I64:
    """Return the places of what the caller shows, in its order, and then the others as ranked."""
    return np.concatenate([shown_S, order_N[~np.isin(order_N, shown_S)]])
