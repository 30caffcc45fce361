"""How the parameters that score keep up with the learner, as numbers for operators."""

import math
from collections.abc import Callable
from typing import Protocol

from easq.clock import NowMs
from easq.events import Delta
from easq.rank.engine import Engine
from easq.rank.follow import Followed, Hand
from easq.service.metrics import Metrics


class Updates(Protocol):
    """What follows the learner's updates (rank.follow.Follower)."""

    followed: Followed

    def start(self) -> None:
        """Follow in a thread of its own."""
        ...

    def stop(self) -> None:
        """End the thread."""
        ...


FollowUpdates = Callable[[Hand, Callable[[Delta], None]], Updates]
"""Makes a follower that hands changes to the loop that scores and tells of each delta applied."""


class Freshness:
    """How old the newest answer was when the parameters came to hold it, in seconds of real time."""

    def __init__(self, now_ms: NowMs, scale: float) -> None:
        self.seconds = math.nan
        self._now_ms, self._scale = now_ms, scale
        self._newest = 0

    def heard(self, delta: Delta) -> None:
        """Take note of a delta that was applied just now."""
        if delta.newest_answer > self._newest:
            self._newest = delta.newest_answer
            self.seconds = (self._now_ms() - delta.newest_answer) / (1000 * self._scale)


def watch_updates(metrics: Metrics, engine: Engine, followed: Followed, freshness: Freshness) -> None:
    """Add what is followed to the metrics."""
    metrics.tell("easq_model", "The version of the parameters.", "version", lambda: engine.version)
    metrics.watch("easq_model_seq", "The number of that version.", lambda: followed.seq)
    metrics.watch(
        "easq_freshness_seconds",
        "Age of the newest answer when the parameters that score came to hold it.",
        lambda: freshness.seconds,
    )
    counters: dict[str, tuple[str, Callable[[], int]]] = {
        "applied": ("Deltas applied.", lambda: followed.applied),
        "refused": ("Deltas and versions refused as damaged.", lambda: followed.refused),
        "gaps": ("Times that a delta did not fit and a whole version was waited for.", lambda: followed.gaps),
        "loaded": ("Whole versions loaded.", lambda: followed.loaded),
        "failures": ("Failures to read the updates.", lambda: followed.failures),
    }
    for name, (text, value) in counters.items():
        metrics.count(f"easq_updates_{name}", text, value)
