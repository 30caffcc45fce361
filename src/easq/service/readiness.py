"""Whether the service can rank, and the first score that makes it so."""

import asyncio
from collections.abc import Callable

import structlog

from easq.rank.engine import Engine
from easq.service.http.error_replies import Refusal, unavailable
from easq.service.log_clock import LogClock
from easq.service.log_follower import LogFollower
from easq.service.log_writer import LogWriter

_POLL_S = 0.05
_RETRY_S = 1.0

logger = structlog.get_logger("easq.service")


class Readiness:
    """Ready once the profiles are up to date, there is a model, and it has scored a warm-up request.

    And for as long as the log can be written: without it every call is refused. It is not while the clock
    cannot be right: what is stamped then would not be learned.
    """

    def __init__(self, engine: Engine, follower: LogFollower, writer: LogWriter, clock: LogClock) -> None:
        self._engine, self._follower, self._writer, self._clock = engine, follower, writer, clock
        self._is_warm = False

    def why_not(self) -> str:
        """Return what is missing for rankings; empty when nothing is."""
        if self._follower.broken:
            return self._follower.broken
        if not self._follower.caught_up:
            return "the profiles are being brought up to date with the log"
        if not self._engine.is_ready:
            return "there is no model yet"
        if problem := self._clock.problem():
            return problem
        if not self._is_warm:
            return "the model has not scored a warm-up request yet"
        return self._writer.failure

    def refusal(self) -> Refusal:
        """Return the refusal (503) of a call that cannot be served yet."""
        return unavailable("not_ready", f"{self.why_not()}; see /health/ready")

    async def warm_up(self, score: Callable[[], None]) -> None:
        """Wait until everything is there, then `score` once so that the first caller need not wait."""
        while not (self._follower.caught_up and self._engine.is_ready) or self._clock.problem():
            await asyncio.sleep(_POLL_S)
        while not self._is_warm:
            try:
                score()
                self._is_warm = True
            except Exception:
                logger.exception("the warm-up request failed")
                await asyncio.sleep(_RETRY_S)
