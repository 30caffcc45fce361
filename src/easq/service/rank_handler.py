"""POST /v1/rank: check, score, log, reply."""

from easq.arrays import F32
from easq.ask.state import Asks
from easq.errors import InputError
from easq.home.clock import NowMs
from easq.log.packing import FLOAT
from easq.rank.engine import Engine
from easq.recipe.recipe import Recipe
from easq.service.counters import ServiceCounters
from easq.service.feature_values import DECODERS
from easq.service.http.error_replies import too_large, unavailable
from easq.service.http.formats import Formats
from easq.service.http.messages import MSGPACK, RankCall, RankReply, check_names
from easq.service.log_follower import LogFollower
from easq.service.log_writer import LogWriter
from easq.service.readiness import Readiness

_TIED_LEAST, _TIED_MOST, _FADE = 50, 0.5, 1 / 64
"""Rankings before the first alarm, the share of tied ones that raises it, and how fast a ranking fades."""


class RankHandler:
    """Ranks for callers, and logs every ranking before its caller gets it.

    `asks` learns of a ranking at once and not when it is read from the log again: a fast viewer's offer may
    come before that.
    """

    def __init__(
        self,
        engine: Engine,
        writer: LogWriter,
        recipe: Recipe,
        follower: LogFollower,
        readiness: Readiness,
        metrics: ServiceCounters,
        now_ms: NowMs,
        asks: Asks,
    ) -> None:
        self._now_ms, self._asks = now_ms, asks
        self._follower, self._readiness = follower, readiness
        self._engine, self._writer, self._metrics = engine, writer, metrics
        self._several, self._tied_share = 0, 0.0
        self._max_candidates = recipe.service.max_candidates

    async def rank(self, call: RankCall, formats: Formats) -> RankReply:
        """Rank the candidates; raise Refusal or InputError."""
        if not self._follower.caught_up:
            raise self._readiness.refusal()
        if len(call.candidates) > self._max_candidates:
            raise too_large(
                f"candidates: got {len(call.candidates)}; allowed: {self._max_candidates} "
                "(service.max_candidates)"
            )
        check_names("user_id", call.user_id)
        check_names("candidates", call.candidates)
        if not self._engine.is_ready:
            raise unavailable("not_ready", "there is no model yet; see /health/ready")
        decoder = DECODERS[formats.body]
        query = self._engine.parse(
            call.user_id, call.candidates, call.context, call.features, call.limit, decoder, _shown_by(call)
        )
        ranking = self._engine.rank(query, self._now_ms())
        is_logged = await self._writer.log_ranking(ranking.event)
        if is_logged:
            self._asks.served.ingest(ranking.event, ranking.event.ts)
        (self._metrics.shadow_rankings if ranking.event.is_shadow else self._metrics.rankings).inc()
        self._metrics.candidates.inc(len(call.candidates))
        scores = ranking.scores
        self._note_tie(scores)
        return RankReply(
            ranking.event.event_id,
            ranking.items,
            scores.astype(FLOAT).tobytes() if formats.reply is MSGPACK else scores.tolist(),
            ranking.version,
            ranking.arm,
            is_logged,
        )

    def alarms(self) -> list[str]:
        """Return what is wrong with the scores of recent replies; empty without anything."""
        if self._several < _TIED_LEAST or self._tied_share <= _TIED_MOST:
            return []
        return [
            f"{self._tied_share:.0%} of the recent rankings have one score for all candidates: their order "
            "is the caller's (docs/live.md, Guardrails)."
        ]

    def _note_tie(self, scores: F32) -> None:
        if len(scores) < 2:
            return
        is_tied = bool((scores == scores[0]).all())
        self._several += 1
        self._tied_share += (is_tied - self._tied_share) * _FADE
        if is_tied:
            self._metrics.tied.inc()

    def warm_up(self) -> None:
        """Score a request of nobody, so that the first caller does not wait for what is done only once."""
        self._engine.warm_up(self._now_ms())


def _shown_by(call: RankCall) -> list[str] | None:
    """Return what the caller shows instead of the ranking; raise InputError unless it says so twice."""
    if call.mode == "shadow":
        if call.shown is None:
            raise InputError('shown: got none; allowed with mode = "shadow": what you show, in your order')
        check_names("shown", call.shown)
    elif call.shown is not None:
        raise InputError('shown: got items; allowed: none, or mode = "shadow"')
    return call.shown
