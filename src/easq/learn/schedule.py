"""Timers of the live learner: steps, status, versions and checkpoints.

All times are seconds of a monotonic clock. They decide when something happens, never what a step computes.
"""

import math
from collections.abc import Callable

from easq.recipe.operations import Live

STATUS_S = 0.5


class Schedule:
    """Times of the last step, status, version and checkpoint, and the time since which behavior waits."""

    def __init__(self, live: Live, seconds: Callable[[], float]) -> None:
        self._live, self._seconds = live, seconds
        self._step_s = self._status_s = self._version_s = self._checkpoint_s = 0.0
        self._waiting_since_s = math.inf

    def begin_step(self) -> float:
        """Start the timer of a step and return the current time."""
        self._step_s = self._seconds()
        return self._step_s

    @property
    def pause_s(self) -> float:
        """Seconds to wait before the next step."""
        return max(0.0, self._step_s + self._live.step_seconds - self._seconds())

    def is_overdue(self, now_s: float) -> bool:
        """Return whether waiting behavior is to be learned although it does not fill a batch."""
        return now_s >= self._waiting_since_s + self._live.flush_seconds

    def note_waiting(self, is_waiting: bool, is_new: bool, now_s: float) -> None:
        """Note whether behavior or answers wait after a step; `is_new` restarts the timer of the wait."""
        if not is_waiting:
            self._waiting_since_s = math.inf
        elif is_new:
            self._waiting_since_s = now_s

    def status_due(self, now_s: float) -> bool:
        """Return whether a status is due; if so, restart its timer."""
        is_due = now_s >= self._status_s + STATUS_S
        if is_due:
            self._status_s = now_s
        return is_due

    def version_due(self, now_s: float) -> bool:
        """Return whether a full version is due; if so, restart its timer."""
        is_due = now_s >= self._version_s + self._live.snapshot_seconds
        if is_due:
            self._version_s = now_s
        return is_due

    def checkpoint_due(self, now_s: float) -> bool:
        """Return whether a checkpoint is due."""
        return now_s >= self._checkpoint_s + self._live.checkpoint_seconds

    def note_checkpoint(self) -> None:
        """Note that a checkpoint is being written."""
        self._checkpoint_s = self._seconds()

    def start(self) -> None:
        """Start the timers of versions and checkpoints, after a recovery."""
        self._version_s = self._checkpoint_s = self._seconds()
