"""A live system without HTTP: a home, a clock that tests move, and a world whose events go to its log."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from easq.home.home import Home, open_home
from easq.learn.live_learner import LiveLearner
from easq.log.events import EVENTS, UPDATES, Event
from easq.log.sqlite import SqliteLog
from easq.rank.parameters import Parameters
from easq.rank.replica import Replica
from tests.support.small_worlds import small_recipe, world_events

LIVE = ("join.behavior_window=4.0", "join.answer_window=5.0", "join.lateness=0.1")


@dataclass
class Clock:
    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class TrimmedMeanwhile(SqliteLog):
    """A log whose first event is trimmed between a reader's call of `start_offsets` and its first read."""

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Event]:
        """Trim the first event, then read."""
        if self.start_offsets(UPDATES) == [0]:
            with SqliteLog(self._path) as learner:
                learner.trim(UPDATES, [1])
        return super().read(topic, partition, offset, limit)


@dataclass
class LiveSystem:
    """All parts of one live system, in one process."""

    home: Home
    events: SqliteLog
    updates: SqliteLog
    clock: Clock

    def learner(self) -> LiveLearner:
        """Return a learner that has recovered."""
        learner = LiveLearner(self.home, self.events, self.updates, self.clock, self.clock)
        learner.recover()
        return learner

    def replica(self) -> Replica:
        """Return a replica that applies changes at once."""
        parameters = Parameters(self.home.recipe)
        return Replica(self.home, self.updates, parameters, hand=lambda change: change())

    def append(self, events: list[Event]) -> None:
        self.events.append(EVENTS, events)


@contextmanager
def live_system(folder: Path, *overrides: str) -> Iterator[LiveSystem]:
    home = open_home(folder / "home", small_recipe(*LIVE, *overrides))
    with home.open_events() as events, home.open_updates() as updates:
        yield LiveSystem(home, events, updates, Clock())


@contextmanager
def trained_system(folder: Path) -> Iterator[LiveSystem]:
    """Yield a live system whose learner has learned a world and has ended."""
    with live_system(folder) as system:
        learner = system.learner()
        for batch in event_batches():
            system.append(batch)
            learner.tick()
        learner.close()
        yield system


def event_batches(num_requests: int = 120, size: int = 40) -> list[list[Event]]:
    """Return a world's events in batches, as they would arrive."""
    events = sorted(world_events(num_requests), key=lambda event: event.ts)
    return [events[start : start + size] for start in range(0, len(events), size)]
