"""Authentication, scopes and rate limits, checked before anything of a call is read."""

import time
from collections.abc import Iterable
from typing import Any

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from easq.service.http.error_replies import Refusal
from easq.service.http.formats import negotiate
from easq.service.http.keys import Keys
from easq.service.http.messages import JSON, MSGPACK
from easq.service.http.rate_limit import RateLimit
from easq.service.http.route import CallRoute, Route
from easq.service.http.uploads import Uploads


class _KeyInBody(msgspec.Struct):
    key: str = ""


_READERS: dict[str, msgspec.json.Decoder[_KeyInBody] | msgspec.msgpack.Decoder[_KeyInBody]] = {
    JSON.media_type: msgspec.json.Decoder(_KeyInBody),
    MSGPACK.media_type: msgspec.msgpack.Decoder(_KeyInBody),
}


class Authenticator:
    """A guard for every route; a route that names no scopes is open to everyone."""

    def __init__(self, keys: Keys, rates: RateLimit, uploads: Uploads) -> None:
        self._keys, self._rates, self._uploads = keys, rates, uploads

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        """Let the call pass or raise Refusal (401, 403, 429)."""
        route: Route | None = handler.opt.get("route")
        if route is None or not route.scopes:
            return
        caller, key = "", None
        if not self._keys.is_open:
            token = _token(connection.scope["headers"])
            if not token and isinstance(route, CallRoute) and route.is_beacon:
                token = await self._token_of_body(connection, route.body_limit)
            key = self._keys.find(token)
            if key is None:
                message = (
                    "this needs a valid key: `Authorization: Bearer easq_...`; `easq keys create` makes one"
                )
                raise Refusal(401, "unauthorized", message)
            connection.scope["state"]["key_id"] = caller = key.id
            if key.scope == "viewer" and connection.client is not None:
                # It is public: one who floods it must not hold up all others.
                caller = f"{key.id} {connection.client.host}"
            if key.scope not in route.scopes:
                message = f"the key's scope is {key.scope}; allowed here: {', '.join(route.scopes)}"
                raise Refusal(403, "forbidden", message)
        self._rates.take(caller, time.monotonic())
        if key is None or key.scope != "viewer":  # a viewer key is public
            connection.scope["state"]["is_known"] = True

    async def _token_of_body(self, connection: ASGIConnection[Any, Any, Any, Any], limit: int | None) -> str:
        """Return the key inside a beacon's body; a beacon cannot have headers of its own."""
        assert isinstance(connection, Request)
        assert limit is not None, "a beacon is small"
        formats = negotiate(connection.scope["headers"], is_beacon=True)
        try:
            async with self._uploads.read(connection, limit) as body:
                return _READERS[formats.body.media_type].decode(body).key
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ""


def _token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip().decode("latin-1")
    return ""
