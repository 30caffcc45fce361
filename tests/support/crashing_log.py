"""A world whose events a live learner learns, and a log that fails at a chosen append."""

import random
from collections.abc import Iterable
from contextlib import suppress

import pytest

from easq.learn.live_learner import LiveLearner
from easq.log.events import STEPS, UPDATES, Delta, Event
from tests.support.live_home import LiveSystem, event_batches


def run_through(system: LiveSystem, learner: LiveLearner) -> None:
    """Append the world's events batch by batch, and let the learner take them."""
    for batch in event_batches():
        system.append(batch)
        system.clock.now += 0.2
        while learner.tick():
            system.clock.now += 0.1


def deltas(system: LiveSystem) -> list[Delta]:
    result = system.updates.read(UPDATES, 0, system.updates.start_offsets(UPDATES)[0], 10_000)
    return [event for event in result if isinstance(event, Delta)]


class CrashError(Exception):
    pass


class CrashingLog:
    """Fails before or after the next append to a topic has reached the disk."""

    def __init__(self, topic: str, after: bool) -> None:
        self._topic, self._after = topic, after

    def over(self, log: object) -> "CrashingLog":
        self._log = log
        return self

    def append(self, topic: str, events: list[object]) -> object:
        if topic == self._topic and not self._after:
            raise CrashError
        positions = self._log.append(topic, events)  # type: ignore[attr-defined]
        if topic == self._topic:
            raise CrashError
        return positions

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)


def run_with_kills(system: LiveSystem, batches: Iterable[list[Event]], moment: random.Random) -> LiveLearner:
    """Append events batch by batch; return the last of the learners that took them, closed.

    A CrashingLog is leaving the object where it stands: what is not on disk is gone. Four
    learners die or more.
    """
    learner, deaths = system.learner(), 0
    for batch in batches:
        system.append(batch)
        system.clock.now += 0.2
        if moment.random() < 0.3:
            deaths += 1
            dying = CrashingLog(moment.choice([STEPS, UPDATES]), moment.random() < 0.5)
            # It stands where a log does, and is none by its type.
            learner._journal._updates = dying.over(system.updates)  # type: ignore[assignment]
            learner._publisher._updates = learner._journal._updates
            with pytest.raises(CrashError):
                while True:
                    learner.tick()
                    system.clock.now += 0.5
                    system.append(event_batches(3)[0][:1])
            with suppress(CrashError):  # a version that was under way may be announced, and dies too
                learner._checkpointer.close()
            learner = system.learner()
        learner.tick()
    learner.close()
    assert deaths > 3
    return learner
