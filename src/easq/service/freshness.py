"""How far the scoring parameters lag behind the answers, as numbers for operators."""

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

_MAX_WAITING = 10_000  # answers remembered while no learner runs


class Updates(Protocol):
    """A follower of the learner's updates (rank.replica.Replica)."""

    status: ReplicaStatus

    def start(self) -> None:
        """Follow in a thread of its own."""
        ...

    def stop(self) -> None:
        """End the thread."""
        ...


FollowUpdates = Callable[[Hand, Callable[[Delta], None]], Updates]
"""Makes a follower that hands changes to the loop that scores and reports each delta applied."""


class Freshness:
    """The time from an answer being durable to the first parameters that include it, in seconds.

    `seconds` is that of the last such answer; NaN before the first. Answers from before this process started
    are not waited for.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = math.nan
        self._clock = clock
        self._waiting: deque[tuple[Position, float]] = deque(maxlen=_MAX_WAITING)

    def written(self, events: Iterable[Event], positions: Iterable[Position | None]) -> None:
        """Take note of events that have just become durable."""
        now = self._clock()
        self._waiting.extend(
            (position, now)
            for event, position in zip(events, positions, strict=True)
            if isinstance(event, Answered) and position is not None
        )

    def delta_applied(self, delta: Delta) -> None:
        """Take note of a delta that was applied just now."""
        if not self._waiting:
            return
        now = self._clock()
        waiting = [
            (position, since) for position, since in self._waiting if not _includes(delta.until, position)
        ]
        included = [since for position, since in self._waiting if _includes(delta.until, position)]
        if included:
            self.seconds = now - included[-1]
            self._waiting = deque(waiting, maxlen=_MAX_WAITING)


def _includes(until: Sequence[int], position: Position) -> bool:
    return until[position.partition] > position.offset


def watch_updates(
    metrics: ServiceCounters, engine: Engine, status: ReplicaStatus, freshness: Freshness
) -> None:
    """Add the state of following the updates to the metrics."""
    metrics.add_info("easq_model", "The version of the parameters.", "version", lambda: engine.version)
    metrics.add_gauge("easq_model_seq", "The number of that version.", lambda: status.seq)
    metrics.add_gauge(
        "easq_freshness_seconds",
        "Time from the last learned answer being durable to parameters that include it.",
        lambda: freshness.seconds,
    )
    counters: dict[str, tuple[str, Callable[[], int]]] = {
        "applied": ("Deltas applied.", lambda: status.applied),
        "refused": ("Deltas and versions refused as damaged.", lambda: status.refused),
        "gaps": ("Times that a delta did not fit and a whole version was waited for.", lambda: status.gaps),
        "loaded": ("Whole versions loaded.", lambda: status.loaded),
        "failures": ("Failures to read the updates.", lambda: status.failures),
    }
    for name, (text, value) in counters.items():
        metrics.add_counter(f"easq_updates_{name}", text, value)
