"""Refuses calls for which there is no room before anything is done for them."""

from collections.abc import Iterable
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Receive, Scope, Send

from easq.service.http.error_replies import Refusal, send_refusal
from easq.service.http.route import CallRoute
from easq.service.http.turns import Turns


class LoadShedder:
    """ASGI middleware that refuses calls to `paths` while there is no turn to be had.

    Others pass, above all health, and so do those of a browser's page: only the app's own replies let the
    page read them (`RoomGuard`).
    """

    def __init__(self, app: Litestar, paths: Iterable[str], turns: Turns) -> None:
        self.app, self._paths, self._turns = app, frozenset(paths), turns

    def refusal(self, path: str | None) -> Refusal | None:
        """Return the refusal (503) of a call to `path` for which there is no room; None where there is."""
        return self._turns.refusal() if path in self._paths else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        refusal = self.refusal(scope.get("path"))
        if refusal is None or any(name == b"origin" for name, _ in scope["headers"]):
            await self.app(scope, receive, send)
        else:
            await send_refusal(refusal, send)


class RoomGuard:
    """A guard for every route, which refuses a page's call for which there is no room, and no preflight."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        """Let the call pass or raise Refusal (503)."""
        is_of_page = "origin" in connection.headers and isinstance(handler.opt.get("route"), CallRoute)
        if is_of_page and (refusal := self._turns.refusal()) is not None:
            raise refusal
