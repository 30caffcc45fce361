"""Appending for calls that wait: within the time that a reply may take, or not at all."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress

import structlog

from easq.log.base import LogError, Position
from easq.log.events import EVENTS, Event, Request
from easq.recipe.operations import Service
from easq.service.counters import ServiceCounters
from easq.service.freshness import Freshness
from easq.service.group_commit import Committer
from easq.service.http.error_replies import Refusal, unavailable

_PAUSE_S = 1.0  # between attempts to log a ranking while the log is known to be down
_DOWN_S = 5.0  # for so long after a failure nobody should send calls here
_GATHER_S = 0.05  # events that no reply waits for are written together

Settled = Callable[[bool], None]
"""Is told, in the event loop, whether events are on the log."""

logger = structlog.get_logger("easq.service")


class LogWriter:
    """Makes events durable, or refuses with 503 and the reason."""

    def __init__(
        self, committer: Committer, settings: Service, metrics: ServiceCounters, freshness: Freshness
    ) -> None:
        self._committer, self._metrics, self._freshness = committer, metrics, freshness
        self._wait_s = settings.log_wait_seconds
        self._serves_unlogged = settings.when_log_is_down == "serve"
        self._down_until = 0.0
        self._posted: list[tuple[str, Event]] = []
        self._failure, self._failed_s = "", 0.0

    @property
    def failure(self) -> str:
        """Return why the last write failed, for five seconds after it; empty otherwise.

        Then it is empty so that calls come again: only they tell whether the log can be written.
        """
        return self._failure if time.monotonic() < self._failed_s + _DOWN_S else ""

    async def append(
        self, topic: str, events: Sequence[Event], settled: Settled = lambda _: None
    ) -> list[Position]:
        """Return the positions of the events; raise Refusal (503) if they could not be written in time.

        `settled` is called once it is known whether all are on the log. After a refusal that may be later: a
        write that has begun goes on. Raises Refusal (409) if the log holds another event of a viewer under
        one of the ids.
        """
        positions = await self.append_each(topic, events, settled)
        for event, position in zip(events, positions, strict=True):
            if position is None:
                raise Refusal(409, "id_taken", f"{event.event_id!r} is on the log with other content")
        return [position for position in positions if position is not None]

    async def append_each(
        self, topic: str, events: Sequence[Event], settled: Settled = lambda _: None
    ) -> list[Position | None]:
        """Return the positions of the events, None for those whose id is taken; raise Refusal (503)."""
        self.flush()
        if not events:
            settled(True)
            return []
        try:
            written = self._committer.submit(topic, events)
            async with asyncio.timeout(self._wait_s):
                positions = await asyncio.wrap_future(written)
        except LogError as error:
            settled(False)
            reason = f"the log could not be written: {error}"
        except TimeoutError:
            _settle_later(written, settled)
            reason = f"the log did not answer within {self._wait_s:g} s (service.log_wait_seconds)"
        else:
            self._freshness.written(events, positions)
            self._failure = ""
            settled(None not in positions)
            return positions
        self._lose(topic, events, reason)
        raise unavailable("log_unavailable", f"{reason}; the same call may be made again")

    def post(self, topic: str, events: Sequence[Event]) -> None:
        """Append events that no reply waits for, with those of the next 50 ms and before all later ones.

        After a failure, which is counted and logged, they are lost.
        """
        if not self._posted:
            asyncio.get_running_loop().call_later(_GATHER_S, self.flush)
        self._posted.extend((topic, event) for event in events)

    def flush(self) -> None:
        """Hand over the posted events, so that they are written before whatever is appended next."""
        posted, self._posted = self._posted, []
        for topic in dict.fromkeys(topic for topic, _ in posted):
            self._submit(topic, [event for event_topic, event in posted if event_topic == topic])

    def _submit(self, topic: str, events: Sequence[Event]) -> None:
        def check(done: Future[list[Position | None]]) -> None:
            if error := done.exception():
                self._lose(topic, events, str(error))

        try:
            self._committer.submit(topic, events).add_done_callback(check)
        except LogError as error:
            self._lose(topic, events, str(error))

    def _lose(self, topic: str, events: Sequence[Event], reason: str) -> None:
        self._failure, self._failed_s = reason, time.monotonic()
        self._metrics.log_failures.labels("append").inc()
        logger.warning("not written", topic=topic, events=len(events), reason=reason)

    async def log_ranking(self, event: Request) -> bool:
        """Log a ranking; False if that failed and the operator chose to serve all the same."""
        if not self._serves_unlogged:
            await self.append(EVENTS, [event])
            return True
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._down_until:
            if self._down_until:
                # Only this call waits; calls that arrive meanwhile are served at once.
                self._down_until = now_s + self._wait_s + _PAUSE_S
            if await self._try(event):
                self._down_until = 0.0
                return True
            self._down_until = asyncio.get_running_loop().time() + _PAUSE_S
        self._metrics.unlogged.inc()
        return False

    async def _try(self, event: Request) -> bool:
        try:
            async with asyncio.timeout(self._wait_s):
                await self._committer.append(EVENTS, [event])
        except (LogError, TimeoutError) as error:
            self._metrics.log_failures.labels("append").inc()
            logger.warning("served without a log", request_id=event.event_id, reason=str(error) or "time out")
            return False
        return True


def _settle_later(written: "Future[list[Position | None]]", settled: Settled) -> None:
    if written.cancel():  # the write had not begun
        settled(False)
        return
    loop = asyncio.get_running_loop()

    def tell(done: "Future[list[Position | None]]") -> None:
        with suppress(RuntimeError):  # the loop has ended
            is_written = done.exception() is None and None not in done.result()
            loop.call_soon_threadsafe(settled, is_written)

    written.add_done_callback(tell)
