"""The clock that stamps events, compared with what the log holds and with itself.

A stamp stays on the log for good, and a time that was once believed makes what comes before it late. So while
the clock cannot be right, nothing is stamped: the service says why, and is not ready.
"""

import time
from collections.abc import Callable

from easq.home.clock import NowMs
from easq.service.http.error_replies import unavailable

STEP_MS = 600_000
"""How far the clock may move against the machine's steady one: more than NTP does while it works."""


def steady_ms() -> int:
    """Return the milliseconds since the machine started, sleep included."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


class LogClock:
    """A clock that says when it cannot be right.

    `event_ms` returns the event time of the log; an event may lie `allowed_ms` ahead of the clock, for which
    nothing is late yet. `steady` is a clock that cannot be set; None where time is held for a simulation.
    """

    def __init__(
        self,
        now_ms: NowMs,
        event_ms: Callable[[], int],
        allowed_ms: int,
        steady: NowMs | None = steady_ms,
    ) -> None:
        self.now_ms, self._event_ms, self._allowed_ms, self._steady = now_ms, event_ms, allowed_ms, steady
        self._ahead_ms = now_ms() - steady() if steady else 0

    def stamp(self) -> int:
        """Return the time, for what is about to be logged. Raises Refusal (503) if it cannot be right."""
        if problem := self.problem():
            raise unavailable("wrong_clock", problem)
        return self.now_ms()

    def problem(self) -> str:
        """Return why the clock cannot be right, empty if it can."""
        now_ms = self.now_ms()
        ahead_ms = self._event_ms() - now_ms
        if ahead_ms > self._allowed_ms:
            return (
                f"the log has come to a time {ahead_ms / 1000:,.0f} s ahead of this machine's clock, so what "
                "is said now would be too late to be learned. Set the clock if it is behind. If the log's "
                "times are wrong, stop the system and run `easq repair`"
            )
        if self._steady and abs(step_ms := now_ms - self._steady() - self._ahead_ms) > STEP_MS:
            return (
                f"this machine's clock was moved by {step_ms / 1000:+,.0f} s while the service ran. Set it "
                "back, or restart the service if the new time is right"
            )
        return ""
