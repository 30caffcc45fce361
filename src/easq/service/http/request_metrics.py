"""Around every request: its time and status are counted, and one line of log says what came of it."""

import time
from collections.abc import Iterable

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from easq.service.counters import ServiceCounters

logger = structlog.get_logger("easq.service")

_GONE = 499  # the caller left before the reply


class RequestMetrics:
    """Wraps the whole app, so that what no route takes is counted too (as route `other`)."""

    def __init__(self, app: ASGIApp, paths: Iterable[str], metrics: ServiceCounters) -> None:
        self._app, self._paths, self._metrics = app, frozenset(paths), metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), _GONE

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            passed = time.perf_counter() - start
            route = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.requests.labels(route, str(status)).observe(passed)
            logger.debug(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                ms=round(passed * 1000, 2),
                key=scope.get("state", {}).get("key_id", ""),
            )
