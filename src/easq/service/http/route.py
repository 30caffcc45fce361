"""A route, stated once: the app, the key check, the body limit and the OpenAPI document all read it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from litestar import Request
from litestar.response.base import ASGIResponse

from easq.errors import InputError
from easq.recipe.recipe import Recipe
from easq.service.http.batch_entries import entries_of
from easq.service.http.error_replies import Refusal
from easq.service.http.formats import Formats, negotiate
from easq.service.http.keys import Scope
from easq.service.http.messages import JSON, MSGPACK, Format, Json
from easq.service.http.turns import Turns
from easq.service.http.uploads import Uploads
from easq.service.service import LiveService

HttpRequest = Request[Any, Any, Any]
Endpoint = Callable[[HttpRequest], Awaitable[ASGIResponse]]
Handler = Callable[[Any, Formats], Awaitable[msgspec.Struct]]
"""Takes a decoded call and the formats of body and reply; returns the reply or raises Refusal, InputError."""

SERVER: tuple[Scope, ...] = ("server", "admin")
VIEWER: tuple[Scope, ...] = ("viewer", "server", "admin")
ADMIN: tuple[Scope, ...] = ("admin",)

NOT_NOW = "Not now: the reason is in the message, `Retry-After` says when to try again."
_KEY_REFUSALS = {
    401: "There is no key, or it is not valid.",
    403: "The key's scope does not allow this.",
    429: "Too many requests with this key; `Retry-After` says how many seconds to wait.",
}
_BODY_REFUSALS = {
    400: "The body cannot be read or says what is not allowed; the message names it.",
    408: "The body did not come in time; the connection is closed.",
    413: "A limit is exceeded; the message says which.",
    415: "The body is neither JSON nor MessagePack.",
    503: NOT_NOW,
}
_FAULT = {500: "A fault of the service."}


def _unchanged(operation: Json, schemas: Json, recipe: Recipe) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method of one path.

    scopes       keys that may call it; none: anybody may, without a key.
    summary      its line in the OpenAPI document; empty: it is a file for browsers and not described.
    media_type   of the reply.
    refusals     replies other than 200 beyond those of every such route, by status.
    refine       completes its OpenAPI operation and the schemas with what depends on the recipe.
    """

    method: Literal["GET", "POST", "PUT"]
    path: str
    scopes: tuple[Scope, ...] = ()
    summary: str = ""
    media_type: str = JSON.media_type
    refusals: Mapping[int, str] = field(default_factory=dict)
    refine: Callable[[Json, Json, Recipe], None] = _unchanged

    @property
    def all_refusals(self) -> dict[int, str]:
        """Return what every status other than 200 means."""
        return {**_FAULT, **(_KEY_REFUSALS if self.scopes else {}), **self.refusals}

    def limit(self, recipe: Recipe) -> tuple[int, str]:
        """Return the most bytes of a body, and the setting that says so; an empty one where it is fixed."""
        return recipe.service.max_body_bytes, "service.max_body_bytes"

    def endpoint(self, service: LiveService, uploads: Uploads, turns: Turns) -> Endpoint:
        """Return what answers requests to a running service."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class PageRoute(Route):
    """A route without a body; `page` makes its endpoint."""

    page: Callable[[LiveService], Endpoint]

    def endpoint(self, service: LiveService, uploads: Uploads, turns: Turns) -> Endpoint:  # noqa: ARG002
        """Return the endpoint of a service: without a body there is nothing to wait for."""
        return self.page(service)


@dataclass(frozen=True, kw_only=True)
class CallRoute(Route):
    """A route with a body of type `call`, answered by a `reply` in JSON or MessagePack.

    entries      the field of `call` that holds undecoded entries, and their type.
    example      a body that a service of a recipe accepts.
    body_limit   in bytes; None: service.max_body_bytes.
    is_beacon    the body may come as text/plain with the key inside, as a browser's beacon does.
    """

    call: type[msgspec.Struct]
    reply: type[msgspec.Struct]
    handler: Callable[[LiveService], Handler]
    example: Callable[[Recipe], Json]
    entries: tuple[str, Any] | None = None
    body_limit: int | None = None
    is_beacon: bool = False

    @property
    def all_refusals(self) -> dict[int, str]:
        """Return what every status other than 200 means."""
        return {**_BODY_REFUSALS, **super().all_refusals}

    def limit(self, recipe: Recipe) -> tuple[int, str]:
        """Return the most bytes of a body, and the setting that says so; an empty one where it is fixed."""
        return super().limit(recipe) if self.body_limit is None else (self.body_limit, "")

    def endpoint(self, service: LiveService, uploads: Uploads, turns: Turns) -> Endpoint:
        """Return the endpoint of a service: read, take a turn, decode, handle, encode."""
        handle, is_beacon = self.handler(service), self.is_beacon
        limit, _ = self.limit(service.recipe)
        readers = {form: form.reader(self.call) for form in (JSON, MSGPACK)}

        async def read(body: bytes, form: Format) -> msgspec.Struct:
            try:
                call: msgspec.Struct = readers[form].read(body)
            except InputError:
                if self.entries is None or form is not JSON:
                    raise
                # In a thread: others do not wait for what is malformed.
                entries = await asyncio.to_thread(entries_of, body, self.entries[0])
                if entries is None:
                    raise
                call = self.call(**{self.entries[0]: entries})
            return call

        async def answer(request: HttpRequest) -> ASGIResponse:
            formats = negotiate(request.scope["headers"], is_beacon)
            async with uploads.read(request, limit) as body:
                await turns.take(request.scope["state"]["arrival"])
                try:
                    reply = await handle(await read(body, formats.body), formats)
                except InputError as error:
                    raise Refusal(400, "invalid", str(error)) from None
                finally:
                    turns.end()
            return ASGIResponse(body=formats.reply.encode(reply), media_type=formats.reply.media_type)

        return answer


def json_response(body: bytes) -> ASGIResponse:
    """Return a JSON body as a response."""
    return ASGIResponse(body=body, media_type=JSON.media_type)
