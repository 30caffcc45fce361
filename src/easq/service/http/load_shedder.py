"""ASGI middleware that refuses calls for which there is no room before anything is done for them."""

from collections.abc import Iterable

from litestar import Litestar
from litestar.types import Receive, Scope, Send

from easq.service.http.error_replies import Refusal, send_refusal
from easq.service.http.turns import Turns


class LoadShedder:
    """Refuses calls to `paths` while there is no turn to be had; others pass, above all health."""

    def __init__(self, app: Litestar, paths: Iterable[str], turns: Turns) -> None:
        self.app, self._paths, self._turns = app, frozenset(paths), turns

    def refusal(self, path: str | None) -> Refusal | None:
        """Return the refusal (503) of a call to `path` for which there is no room; None where there is."""
        return self._turns.refusal() if path in self._paths else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if (refusal := self.refusal(scope.get("path"))) is None:
            await self.app(scope, receive, send)
        else:
            await send_refusal(refusal, send)
