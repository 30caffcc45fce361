"""One ranking over HTTP: read, score, log, reply."""

from collections.abc import Callable

from easq.errors import InputError
from easq.features.columns import Shape
from easq.home.clock import NowMs
from easq.log.events import Request
from easq.log.packing import FLOAT
from easq.rank.engine import Engine
from easq.rank.query import Query
from easq.recipe.recipe import Recipe
from easq.service.counters import ServiceCounters
from easq.service.feature_values import read_columns, read_context
from easq.service.http.error_replies import Refusal, too_large, unavailable
from easq.service.http.messages import (
    JSON,
    MSGPACK,
    Format,
    RankCall,
    RankReply,
    check_ids,
)
from easq.service.log_writer import LogWriter

_READERS = {form: form.reader(RankCall) for form in (JSON, MSGPACK)}


class RankHandler:
    """Ranks for callers, and logs what was ranked before they hear of it; `served` hears of it too."""

    def __init__(
        self,
        engine: Engine,
        writing: LogWriter,
        recipe: Recipe,
        metrics: ServiceCounters,
        now_ms: NowMs,
        served: Callable[[Request], None],
    ) -> None:
        self._now_ms, self._served = now_ms, served
        self._engine, self._writing, self._metrics = engine, writing, metrics
        self._max_candidates = recipe.service.max_candidates
        self._viewer = Shape.of(recipe.features, "viewer")
        self._candidate = Shape.of(recipe.features, "candidate")

    async def rank(self, body: bytes, given: Format, wanted: Format) -> bytes:
        """Return the encoded reply; raise Refusal."""
        try:
            call = _READERS[given].read(body)
            if len(call.candidates) > self._max_candidates:
                raise too_large(
                    f"candidates: got {len(call.candidates)}; allowed: {self._max_candidates} "
                    "(service.max_candidates)"
                )
            check_ids("user_id", call.user_id)
            check_ids("candidates", call.candidates)
            if not self._engine.is_ready:
                raise unavailable("not_ready", "there is no model yet; see /health/ready")
            context = read_context(call.context, self._viewer, given)
            columns = read_columns(call.features, self._candidate, len(call.candidates), given)
            query = Query(call.user_id, call.candidates, context, columns, call.limit)
            ranked = self._engine.rank(query, self._now_ms())
        except InputError as error:
            raise Refusal(400, "invalid", str(error)) from None
        logged = await self._writing.log_ranking(ranked.event)
        if logged:
            self._served(ranked.event)
        self._metrics.rankings.inc()
        self._metrics.candidates.inc(len(call.candidates))
        scores = ranked.scores
        return wanted.encode(
            RankReply(
                ranked.event.event_id,
                ranked.items,
                scores.astype(FLOAT).tobytes() if wanted is MSGPACK else scores.tolist(),
                ranked.version,
                ranked.arm,
                logged,
            )
        )

    def warm_up(self) -> None:
        """Score a request of nobody, so that the first caller does not wait for what is done once."""
        self._engine.rank(Query("", ["\0warm-up"]), self._now_ms())
