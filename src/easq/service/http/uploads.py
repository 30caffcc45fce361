"""Reads request bodies: each must arrive in time, and only so many large ones may arrive at once.

Where a route takes small bodies alone they are not counted, whatever a call says of its length: the body of
a beacon is read before its key is known, and nobody without a key may hold a place.

A body stays in memory until it is complete: a caller that never completes it would hold that memory for good.
"""

import asyncio
from typing import Any

from litestar import Request
from litestar.exceptions import InternalServerException

from easq.recipe.operations import Service
from easq.service.http.error_replies import Refusal, unavailable

_LARGE = 1 << 16  # bytes; as much waits in the server's own buffer of any connection


class Uploads:
    """Reads the bodies of one service; small ones are never refused because of large ones."""

    def __init__(self, settings: Service) -> None:
        self._seconds, self._max_large = settings.body_seconds, settings.max_uploads
        self._num_large = 0

    def read(self, request: Request[Any, Any, Any], limit: int) -> "_Upload":
        """Return what yields the body, of at most `limit` bytes; a large one keeps its place till the end.

        Entering it raises Refusal (400, 408, 503) if the body does not arrive, or there are too many.
        """
        size = request.content_length
        return _Upload(self, request, limit > _LARGE and (size is None or size > _LARGE))

    def take(self) -> None:
        """Take a place of a large body; raise Refusal (503) if there is none."""
        if self._num_large >= self._max_large:
            got = f"{self._num_large} large bodies are on their way"
            message = f"{got}; allowed: {self._max_large} (service.max_uploads)"
            raise unavailable("too_many_uploads", message)
        self._num_large += 1

    def give_back(self) -> None:
        """Give the place of a large body back."""
        self._num_large -= 1

    async def arrive(self, request: Request[Any, Any, Any]) -> bytes:
        """Return the body; raise Refusal (400, 408) if it does not arrive."""
        try:
            async with asyncio.timeout(self._seconds):
                return await request.body()
        except TimeoutError:
            message = f"the body did not come within {self._seconds:g} s (service.body_seconds)"
            raise Refusal(408, "body_timeout", message) from None
        except InternalServerException:
            raise Refusal(400, "disconnected", "the connection ended before the body did") from None


class _Upload:
    """One body, for the time of a call. A class of its own because a generator would cost more."""

    __slots__ = ("_is_large", "_request", "_uploads")

    def __init__(self, uploads: Uploads, request: Request[Any, Any, Any], is_large: bool) -> None:
        self._uploads, self._request, self._is_large = uploads, request, is_large

    async def __aenter__(self) -> bytes:
        if not self._is_large:
            return await self._uploads.arrive(self._request)
        self._uploads.take()
        try:
            return await self._uploads.arrive(self._request)
        except BaseException:
            self._uploads.give_back()
            raise

    async def __aexit__(self, *_: object) -> None:
        if self._is_large:
            self._uploads.give_back()
