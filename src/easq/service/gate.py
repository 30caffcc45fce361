"""Who may pass: authentication, scopes and rates, before anything of a call is read."""

import time
from collections.abc import Iterable
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from easq.service.keys import Keys
from easq.service.limits import Rates
from easq.service.refusals import Refusal


class Gate:
    """A guard for every route; one that names no scopes is open to all."""

    def __init__(self, keys: Keys, rates: Rates) -> None:
        self._keys, self._rates = keys, rates

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        """Let the call pass or raise Refusal (401, 403, 429)."""
        scopes = handler.opt.get("scopes")
        if scopes is None:
            return
        caller = ""
        if not self._keys.is_open:
            key = self._keys.find(_token(connection.scope["headers"]))
            if key is None:
                message = (
                    "this needs a valid key: `Authorization: Bearer easq_...`; `easq keys create` makes one"
                )
                raise Refusal(401, "unauthorized", message)
            connection.scope["state"]["key_id"] = caller = key.id
            if key.scope not in scopes:
                message = f"the key's scope is {key.scope}; allowed here: {', '.join(scopes)}"
                raise Refusal(403, "forbidden", message)
        self._rates.take(caller, time.monotonic())


def _token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip().decode("latin-1")
    return ""
