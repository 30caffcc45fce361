"""How the parameters that score keep up with the learner, as numbers for operators."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from easq.log.base import Position
from easq.log.events import Answered, Delta, Event
from easq.rank.engine import Engine
from easq.rank.replica import Hand, ReplicaStatus
from easq.service.counters import ServiceCounters

_MOST = 10_000  # answers remembered while no learner runs


class Updates(Protocol):
    """What follows the learner's updates (rank.follow.Follower)."""

    status: ReplicaStatus

    def start(self) -> None:
        """Follow in a thread of its own."""
        ...

    def stop(self) -> None:
        """End the thread."""
        ...


FollowUpdates = Callable[[Hand, Callable[[Delta], None]], Updates]
"""Makes a follower that hands changes to the loop that scores and tells of each delta applied."""


class Freshness:
    """How long it took from an answer being durable to the first parameters that hold it; NaN before any.

    `seconds` is that of the last such answer. Answers of before this process are not waited for.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = math.nan
        self._clock = clock
        self._waiting: deque[tuple[Position, float]] = deque(maxlen=_MOST)

    def written(self, events: Iterable[Event], positions: Iterable[Position]) -> None:
        """Take note of events that have just become durable."""
        now = self._clock()
        self._waiting.extend(
            (position, now)
            for event, position in zip(events, positions, strict=True)
            if isinstance(event, Answered)
        )

    def heard(self, delta: Delta) -> None:
        """Take note of a delta that was applied just now."""
        if not self._waiting:
            return
        now = self._clock()
        left = [(position, since) for position, since in self._waiting if not _holds(delta.until, position)]
        learned = [since for position, since in self._waiting if _holds(delta.until, position)]
        if learned:
            self.seconds = now - learned[-1]
            self._waiting = deque(left, maxlen=_MOST)


def _holds(until: Sequence[int], position: Position) -> bool:
    return until[position.partition] > position.offset


def watch_updates(
    metrics: ServiceCounters, engine: Engine, followed: ReplicaStatus, freshness: Freshness
) -> None:
    """Add what is followed to the metrics."""
    metrics.tell("easq_model", "The version of the parameters.", "version", lambda: engine.version)
    metrics.watch("easq_model_seq", "The number of that version.", lambda: followed.seq)
    metrics.watch(
        "easq_freshness_seconds",
        "Time from the last learned answer being durable to parameters that hold it.",
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
