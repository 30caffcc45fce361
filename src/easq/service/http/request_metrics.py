"""ASGI middleware that counts every request by route, status and time, and logs one line about it."""

import time
from collections.abc import Iterable

import structlog
from litestar.enums import ScopeType
from litestar.types import Message, Receive, Scope, Send

from easq.service.counters import ServiceCounters
from easq.service.http.error_replies import Refusal
from easq.service.http.load_shedder import LoadShedder
from easq.service.http.origins import Origins

logger = structlog.get_logger("easq.service")

_GONE = 499  # the caller left before the reply


class RequestMetrics:
    """Wraps the whole app: Litestar's own middleware does not see a path that no route takes (`other`)."""

    def __init__(
        self, app: Origins, paths: Iterable[str], metrics: ServiceCounters, shedder: LoadShedder
    ) -> None:
        self.app, self._paths, self._metrics, self._shedder = app, frozenset(paths), metrics, shedder

    def refuse_early(self, path: str) -> Refusal | None:
        """Return the refusal of a call, of which the path is known and no more, and count it; or None."""
        if (refusal := self._shedder.refusal(path)) is not None:
            self._metrics.requests.labels(path, str(refusal.status)).observe(0.0)
        return refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), _GONE

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        finally:
            seconds = time.perf_counter() - start
            route = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.requests.labels(route, str(status)).observe(seconds)
            logger.debug(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                ms=round(seconds * 1000, 2),
                key=scope.get("state", {}).get("key_id", ""),
            )
