"""Reads request bodies: each must arrive in time, and only so many large ones may arrive at once.

Where a route takes small bodies alone they are not counted, whatever a call says of its length: the body of
a beacon is read before its key is known, and nobody without a key may hold a place.

A body stays in memory until it is complete: a caller that never completes it would hold that memory for good.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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

    @asynccontextmanager
    async def read(self, request: Request[Any, Any, Any], limit: int) -> AsyncIterator[bytes]:
        """Yield the body, of at most `limit` bytes; a large one keeps its place until the block ends.

        Raises Refusal (400, 408, 503) if it does not arrive, or there are too many.
        """
        size = request.content_length
        is_large = limit > _LARGE and (size is None or size > _LARGE)
        if is_large and self._num_large >= self._max_large:
            got = f"{self._num_large} large bodies are on their way"
            message = f"{got}; allowed: {self._max_large} (service.max_uploads)"
            raise unavailable("too_many_uploads", message)
        self._num_large += is_large
        try:
            yield await self._arrived(request)
        finally:
            self._num_large -= is_large

    async def _arrived(self, request: Request[Any, Any, Any]) -> bytes:
        try:
            async with asyncio.timeout(self._seconds):
                return await request.body()
        except TimeoutError:
            message = f"the body did not come within {self._seconds:g} s (service.body_seconds)"
            raise Refusal(408, "body_timeout", message) from None
        except InternalServerException:
            raise Refusal(400, "disconnected", "the connection ended before the body did") from None
