"""ASGI middleware that refuses calls for which there is no room before anything is done for them."""

from collections.abc import Iterable

from litestar import Litestar
from litestar.types import Receive, Scope, Send

from easq.service.http.turns import Turns


class LoadShedder:
    """Refuses calls to `paths` while there is no turn to be had; others pass, above all health."""

    def __init__(self, app: Litestar, paths: Iterable[str], turns: Turns) -> None:
        self.app, self._paths, self._turns = app, frozenset(paths), turns
        refusal = turns.refusal()
        self._body = refusal.body()
        self._headers = [
            (name.encode(), value.encode())
            for name, value in {
                **refusal.headers,
                "content-type": "application/json",
                "content-length": str(len(self._body)),
            }.items()
        ]
        self._status = refusal.status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if not self._turns.is_full or scope.get("path") not in self._paths:
            await self.app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})
