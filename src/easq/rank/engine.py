"""A query in, a ranking and its log entry out: everything between the HTTP body and the reply.

Shapes: N candidates of one request, L of them logged.
"""

import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np

from easq.arrays import F32, I64
from easq.features.columns import Columns, Shape
from easq.features.encode import Layout, Rows, SideEncoder
from easq.log.events import Request
from easq.log.ids import stable_id, time_ordered_id
from easq.log.packing import pack_counts, pack_floats
from easq.rank.arm_lookup import ArmLookup
from easq.rank.explore import ExploredOrder, explore
from easq.rank.parameters import Parameters
from easq.rank.query import ParsedQuery, Query, QueryParser
from easq.recipe.assignment import arms_in
from easq.recipe.recipe import Recipe


class RankResult(NamedTuple):
    """A ranking, best first, and the event that must be on the log before anybody sees it."""

    event: Request
    items: list[str]
    scores: F32
    version: str
    arm: str


class Knowledge(Protocol):
    """What is known of viewers and items, as of `offsets` (profiles.Profiles)."""

    offsets: list[int]

    def viewer(self, user_id: str, ts: int) -> Columns:
        """Return the viewer's values, one row that the caller may change."""
        ...

    def candidates(self, items: list[str], ts: int) -> Columns:
        """Return the items' values, rows that the caller may change."""
        ...


class Engine:
    """Ranks by the recipe's features and the newest parameters; belongs to the thread that scores.

    The first `log_top` of a ranking are logged and `log_sample` of the others, drawn evenly by a seed that
    is the request's id. `arms` are the models of arms that have one of their own, by `experiment/arm`;
    all read the same features, which are encoded once.
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
        layout = Layout.of(recipe.features)
        self._viewer_shape = Shape.of(recipe.features, "viewer")
        self._candidate_shape = Shape.of(recipe.features, "candidate")
        # Checks a query and turns its feature values into arrays; `rank` trusts what it returns.
        self.parse = QueryParser(self._viewer_shape, self._candidate_shape).parse
        self._viewer_encoder = SideEncoder(layout, recipe.features, "viewer")
        self._candidate_encoder = SideEncoder(layout, recipe.features, "candidate")
        self._knowledge, self._parameters = knowledge, parameters
        self._dealt, self._arms = ArmLookup(recipe), dict(arms)
        self._log_top, self._log_sample = log_top, log_sample
        self._explore = recipe.explore

    @property
    def version(self) -> str:
        """Return the name of the parameters that score now."""
        return self._parameters.name

    @property
    def is_ready(self) -> bool:
        """Return whether there are parameters to score with, those of every arm too."""
        return all(parameters.seq >= 0 for parameters in (self._parameters, *self._arms.values()))

    @property
    def versions(self) -> dict[str, str]:
        """Return the names of the parameters of the arms that have some of their own."""
        return {arm: parameters.name for arm, parameters in self._arms.items()}

    def rank(self, query: Query | ParsedQuery, now_ms: int) -> RankResult:
        """Rank the query's candidates.

        Raises InputError for a query that `parse` refuses, naming the field, what was given and what is
        allowed.
        """
        if isinstance(query, Query):
            query = self.parse(query.user_id, query.candidates, query.context, query.features, query.limit)
        knowledge = self._knowledge
        viewer = query.context.put_into(knowledge.viewer(query.user_id, now_ms))
        columns = query.features.put_into(knowledge.candidates(query.candidates, now_ms))
        arm = self._dealt.label(query.user_id, viewer)
        parameters = self._served_by(arm)
        scores_N = self._score(parameters, viewer, columns)
        # Equal scores stay in the order in which the platform gave them.
        order_N = np.argsort(-scores_N, kind="stable")
        request_id = time_ordered_id(now_ms)
        drawn = self._drawn(request_id, scores_N, order_N)
        order_N = drawn.order_N if drawn else order_N
        said = (arm, parameters.name)
        event = self._event(request_id, query, now_ms, viewer, columns, scores_N, order_N, drawn, said)
        returned = order_N[: query.limit]
        items = [query.candidates[n] for n in returned.tolist()]
        return RankResult(event, items, scores_N[returned], event.version, event.arm)

    def _served_by(self, label: str) -> Parameters:
        """Return the parameters of a label's arm: of at most one, for one layer serves."""
        own = (self._arms[part] for part in arms_in(label) if part in self._arms)
        return next(own, self._parameters)

    def _score(self, parameters: Parameters, viewer: Columns, candidates: Columns) -> F32:
        rows = Rows(
            self._viewer_encoder.encode(viewer),
            self._candidate_encoder.encode(candidates),
            np.zeros(len(candidates), np.int64),
        )
        return parameters.score(rows)

    def _drawn(self, request_id: str, scores_N: F32, order_N: I64) -> ExploredOrder | None:
        """Return the ranking that is to be shown where some are drawn; the seed is the request's id."""
        if not self._explore.share:
            return None
        random = np.random.default_rng(stable_id(request_id) & 0xFFFFFFFFFFFFFFFF)
        return explore(scores_N, order_N, self._explore, random)

    def _event(
        self,
        request_id: str,
        query: ParsedQuery,
        now_ms: int,
        viewer: Columns,
        columns: Columns,
        scores_N: F32,
        order_N: I64,
        drawn: ExploredOrder | None,
        said: tuple[str, str],
    ) -> Request:
        arm, version = said
        rank_L = self._logged(request_id, len(order_N))
        place_L = order_N[rank_L]
        candidates, lengths = columns.take(place_L).pack(self._candidate_shape)
        return Request(
            event_id=request_id,
            user_id=query.user_id,
            ts=now_ms,
            items=[query.candidates[n] for n in place_L.tolist()],
            viewer=viewer.pack(self._viewer_shape)[0],
            candidates=candidates,
            lengths=lengths,
            scores=pack_floats(scores_N[place_L]),
            ranks=pack_counts(rank_L),
            num_candidates=len(order_N),
            version=version,
            arm=arm,
            as_of=list(self._knowledge.offsets),
            propensities=pack_floats(drawn.propensity_N[rank_L]) if drawn else b"",
            top=self._explore.top if drawn else 0,
        )

    def _logged(self, request_id: str, num_candidates: int) -> I64:
        """Return the ranks that are logged, in order: the first, and a sample of the others."""
        others = range(min(self._log_top, num_candidates), num_candidates)
        sample = random.Random(request_id).sample(others, min(self._log_sample, len(others)))
        return np.array([*range(others.start), *sorted(sample)], np.int64)
