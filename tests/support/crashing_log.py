"""A world whose events a live learner learns, and a log that fails at a chosen append."""

from easq.learn.live_learner import LiveLearner
from easq.log.events import UPDATES, Delta
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
