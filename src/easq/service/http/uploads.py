"""Bodies on their way: each must come in time, and only so many large ones are awaited at once.

A body is kept in memory until it is whole, so who stops short of its end would hold that memory for good.
"""

import asyncio
from typing import Any

from litestar import Request
from litestar.exceptions import InternalServerException

from easq.recipe.operations import Service
from easq.service.http.error_replies import Refusal, unavailable

_LARGE = 1 << 16  # bytes; as much waits in the server's own buffer of any connection


class Uploads:
    """Reads the bodies of one service; small ones come through however many large ones stand in line."""

    def __init__(self, settings: Service) -> None:
        self._seconds, self._most = settings.body_seconds, settings.max_uploads
        self._num = 0

    async def read(self, request: Request[Any, Any, Any]) -> bytes:
        """Return the body; raise Refusal (400, 408, 503) when it does not come, or too many are coming."""
        size = request.content_length
        is_large = size is None or size > _LARGE
        if is_large and self._num >= self._most:
            message = (
                f"{self._num} large bodies are on their way; allowed: {self._most} (service.max_uploads)"
            )
            raise unavailable("too_many_uploads", message)
        self._num += is_large
        try:
            async with asyncio.timeout(self._seconds):
                return await request.body()
        except TimeoutError:
            message = f"the body did not come within {self._seconds:g} s (service.body_seconds)"
            raise Refusal(408, "body_timeout", message) from None
        except InternalServerException:
            raise Refusal(400, "disconnected", "the connection ended before the body did") from None
        finally:
            self._num -= is_large
