"""Rate limit per caller: a bucket of tokens that fills at the permitted rate."""

import math

from easq.service.http.error_replies import Refusal

_MAX_BUCKETS = 10_000  # so that revoked keys and old addresses do not stay for ever


class RateLimit:
    """One bucket per caller: `per_second` calls each, with bursts of twice as many. 0 means no limit."""

    def __init__(self, per_second: float) -> None:
        self._rate, self._burst = per_second, max(2 * per_second, 1.0)
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str, now_s: float) -> None:
        """Count one call at a monotonic time; raise Refusal (429) with the time to wait for the next."""
        if not self._rate:
            return
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.clear()
        tokens, then = self._buckets.get(caller, (self._burst, now_s))
        tokens = min(self._burst, tokens + (now_s - then) * self._rate)
        if tokens < 1:
            self._buckets[caller] = (tokens, now_s)
            message = (
                f"more than {self._rate:g} requests a second with this key (service.requests_per_second, "
                f"bursts of {self._burst:g})"
            )
            raise Refusal(429, "too_many_requests", message, max(1, math.ceil((1 - tokens) / self._rate)))
        self._buckets[caller] = (tokens - 1, now_s)
