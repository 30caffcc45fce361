"""What the routes do, without a word of HTTP: bodies in, bodies out, or a Refusal."""

import asyncio
from collections.abc import Callable, Mapping
from math import isnan
from typing import Any

import structlog

from easq.errors import InputError
from easq.home.clock import NowMs
from easq.log.events import EVENTS, PROFILES, Request
from easq.rank.engine import Engine
from easq.recipe.recipe import Recipe
from easq.service.counters import ServiceCounters
from easq.service.event_handler import EventHandler
from easq.service.freshness import Freshness
from easq.service.http.error_replies import Refusal, too_large, unavailable
from easq.service.http.messages import (
    JSON,
    MSGPACK,
    BatchReply,
    EventsCall,
    Format,
    ItemsCall,
    Result,
    UsersCall,
)
from easq.service.log_follower import LogFollower
from easq.service.log_writer import LogWriter
from easq.service.put_handler import Knows, PutHandler
from easq.service.rank_handler import RankHandler

logger = structlog.get_logger("easq.service")


class Handlers:
    """Takes the calls of one service and knows whether it is ready for them."""

    def __init__(
        self,
        engine: Engine,
        recipe: Recipe,
        knows: Knows,
        writing: LogWriter,
        follower: LogFollower,
        metrics: ServiceCounters,
        freshness: Freshness,
        now_ms: NowMs,
        served: Callable[[Request], None],
    ) -> None:
        self._now_ms = now_ms
        self._engine, self._writing, self._follower, self._metrics = engine, writing, follower, metrics
        self._limits, self._freshness = recipe.service, freshness
        self._ranking = RankHandler(engine, writing, recipe, metrics, now_ms, served)
        self._intake = EventHandler(recipe, metrics)
        self._puts: dict[Any, PutHandler] = {
            ItemsCall: PutHandler(recipe.features, "candidate", knows),
            UsersCall: PutHandler(recipe.features, "viewer", knows),
        }
        kinds = (ItemsCall, UsersCall, EventsCall)
        self._readers = {
            (kind, form.media_type): form.reader(kind) for kind in kinds for form in (JSON, MSGPACK)
        }
        self._is_warm = False

    async def rank(self, body: bytes, given: Format, wanted: Format) -> bytes:
        """Rank candidates for a viewer."""
        if not self._follower.caught_up:
            self._refuse_until_caught_up()
        return await self._ranking.rank(body, given, wanted)

    async def put_items(self, body: bytes, given: Format, wanted: Format) -> bytes:
        """Store what a platform tells of items."""
        return await self._put(ItemsCall, self._read(ItemsCall, body, given).items, given, wanted)

    async def put_users(self, body: bytes, given: Format, wanted: Format) -> bytes:
        """Store what a platform tells of viewers."""
        return await self._put(UsersCall, self._read(UsersCall, body, given).users, given, wanted)

    async def take_events(self, body: bytes, given: Format, wanted: Format) -> bytes:
        """Log what viewers did and said."""
        entries = self._read(EventsCall, body, given).events
        if len(entries) > self._limits.max_events:
            allowed = f"{self._limits.max_events} (service.max_events)"
            raise too_large(f"events: got {len(entries)}; allowed in one call: {allowed}")
        results, events = self._intake.check(entries, given, self._now_ms())
        await self._writing.append(EVENTS, events)
        for event in events:
            self._metrics.accepted.labels(type(event).__name__.lower()).inc()
        return wanted.encode(_reply(results))

    def why_not_ready(self) -> str:
        """Return what is missing for rankings; empty when nothing is."""
        if self._follower.broken:
            return self._follower.broken
        if not self._follower.caught_up:
            return "the profiles are being brought up to date with the log"
        if not self._engine.is_ready:
            return "there is no model yet"
        return "" if self._is_warm else "the model has not scored a warm-up request yet"

    async def warm_up(self, look_s: float = 0.05) -> None:
        """Wait until all is there, then score a request so that the first caller need not wait."""
        while not (self._follower.caught_up and self._engine.is_ready):
            await asyncio.sleep(look_s)
        while not self._is_warm:
            try:
                self._ranking.warm_up()
                self._is_warm = True
            except Exception:
                logger.exception("the warm-up request failed")
                await asyncio.sleep(1.0)

    def status(self) -> Mapping[str, Any]:
        """Return the essentials, for people and for one status line."""
        value = self._metrics.value
        reason = self.why_not_ready()
        return {
            "ready": not reason,
            "reason": reason,
            "version": self._engine.version,
            "arms": self._engine.versions,
            "freshness_seconds": None if isnan(self._freshness.seconds) else self._freshness.seconds,
            "rankings": value("easq_rankings_total"),
            "unlogged_rankings": value("easq_unlogged_rankings_total"),
            "events_accepted": value("easq_events_accepted_total"),
            "answers_accepted": value("easq_events_accepted_total", type="answered"),
            "events_refused": value("easq_events_refused_total"),
            "log_failures": value("easq_log_failures_total"),
        }

    def _read(self, kind: Any, body: bytes, form: Format) -> Any:
        try:
            return self._readers[kind, form.media_type].read(body)
        except InputError as error:
            raise Refusal(400, "invalid", str(error)) from None

    async def _put(self, kind: Any, entries: Any, given: Format, wanted: Format) -> bytes:
        if len(entries) > self._limits.max_puts:
            allowed = f"{self._limits.max_puts} (service.max_puts)"
            raise too_large(
                f"{kind.__struct_fields__[0]}: got {len(entries)}; allowed in one call: {allowed}"
            )
        if not self._follower.caught_up:
            self._refuse_until_caught_up()
        results, told = self._puts[kind].check(entries, given, self._now_ms())
        positions = await self._writing.append(PROFILES, told)
        try:
            async with asyncio.timeout(self._limits.log_wait_seconds):
                await self._follower.reached(PROFILES, positions)
        except TimeoutError:
            message = "it is written, but rankings do not read it yet; the same call may be made again"
            raise unavailable("not_applied", message) from None
        side = kind.__struct_fields__[0]
        for result in results:
            self._metrics.puts.labels(side, result.status).inc()
        return wanted.encode(_reply(results))

    def _refuse_until_caught_up(self) -> None:
        raise unavailable("not_ready", f"{self.why_not_ready()}; see /health/ready")


def _reply(results: list[Result]) -> BatchReply:
    accepted = sum(result.status == "accepted" for result in results)
    return BatchReply(accepted, len(results) - accepted, results)
