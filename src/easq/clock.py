"""The clock that events are stamped by: real time, or the faster time of a simulation."""

import time
from collections.abc import Callable

from easq.schema import Clock

NowMs = Callable[[], int]
"""Return the time in milliseconds since 1970, UTC."""


def clock_of(settings: Clock, real_ms: Callable[[], float] = lambda: time.time() * 1000) -> NowMs:
    """Return what reads the clock that the settings describe.

    It is a function of the real time alone, so that every process and every restart reads the same.

    >>> hours = clock_of(Clock(scale=3600, since_ms=10_000), lambda: 11_000)
    >>> hours() == 10_000 + 3_600_000
    True
    """
    if settings.scale == 1:
        return lambda: int(real_ms())
    return lambda: int(settings.since_ms + (real_ms() - settings.since_ms) * settings.scale)
