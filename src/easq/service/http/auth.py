"""Who may pass: authentication, scopes and rates, before anything of a call is read."""

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
from easq.service.http.uploads import Uploads


class _Keyed(msgspec.Struct):
    key: str = ""


_READERS: dict[str, msgspec.json.Decoder[_Keyed] | msgspec.msgpack.Decoder[_Keyed]] = {
    JSON.media_type: msgspec.json.Decoder(_Keyed),
    MSGPACK.media_type: msgspec.msgpack.Decoder(_Keyed),
}


class Authenticator:
    """A guard for every route; one that names no scopes is open to all."""

    def __init__(self, keys: Keys, rates: RateLimit, uploads: Uploads) -> None:
        self._keys, self._rates, self._uploads = keys, rates, uploads

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        """Let the call pass or raise Refusal (401, 403, 429)."""
        scopes = handler.opt.get("scopes")
        if scopes is None:
            return
        caller = ""
        if not self._keys.is_open:
            token = _token(connection.scope["headers"])
            if not token and handler.opt.get("key_in_body"):
                token = await self._token_of_body(connection)
            key = self._keys.find(token)
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

    async def _token_of_body(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str:
        """Return the key that a beacon carries, which cannot have headers of its own."""
        assert isinstance(connection, Request)
        given, _ = negotiate(connection.scope["headers"], beacon=True)
        try:
            return _READERS[given.media_type].decode(await self._uploads.read(connection)).key
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ""


def _token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip().decode("latin-1")
    return ""
