"""Put right the stamps of a wrong clock on the log of a stopped live system.

The order makes every kill harmless: first the learners' state, then the copies that the service makes again,
then the log. Repairing again finishes the work.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from easq.errors import InputError
from easq.features.profiles.rebuild import CHUNK_EVENTS
from easq.home.home import Home
from easq.learn.privacy import amend_learners, remove_copies
from easq.log.base import EventLog, Position
from easq.log.events import EVENTS, PROFILES


class RepairResult(NamedTuple):
    """How many events of each topic got another time, and the learner's step that records it, or 0."""

    restamped: dict[str, int]
    step: int


def repair_home(
    home: Home, latest_ms: int, *, even_most: bool = False, dry_run: bool = False
) -> RepairResult:
    """Give events after `latest_ms` the time of the event before them in their partition.

    What was left out as late meanwhile stays left out. With `dry_run` nothing changes. A stamp that was
    overwritten is gone, so unless `even_most`, a log most of whose events would get another time is left as
    it is: then it is rather this clock that is behind. Raises InputError for it and while a role runs, and
    LogError.
    """
    with home.lock("service"), home.open_events() as events:
        times = {topic: dict(_later(events, topic, latest_ms)) for topic in (EVENTS, PROFILES)}
        counts = {topic: len(found) for topic, found in times.items()}
        if dry_run or not any(counts.values()):
            return RepairResult(counts, 0)
        if not even_most:
            _check_clock(events, counts, latest_ms)
        seq = amend_learners(home, events, lambda trainer: trainer.set_back(latest_ms))
        remove_copies(home)
        for topic, found in times.items():
            events.restamp(topic, found)
    return RepairResult(counts, seq)


def _check_clock(log: EventLog, counts: dict[str, int], latest_ms: int) -> None:
    for topic, count in counts.items():
        total = sum(log.end_offsets(topic)) - sum(log.start_offsets(topic))
        if 2 * count > total:
            now = datetime.fromtimestamp(latest_ms / 1000, UTC)
            raise InputError(
                f"{count:,} of the {total:,} events of topic {topic} lie after {now:%Y-%m-%d %H:%M} UTC, "
                "this machine's time and the skew it allows. Is its clock behind? What is overwritten is "
                "gone. If the clock is right and most of the log is not, say --even-most"
            )


def _later(log: EventLog, topic: str, latest_ms: int) -> Iterator[tuple[Position, int]]:
    """Yield the positions of events after `latest_ms`, with the newest time before in their partition."""
    for partition, start in enumerate(log.start_offsets(topic)):
        offset = start
        before, waiting = 0, list[Position]()
        while events := log.read(topic, partition, offset, CHUNK_EVENTS):
            for number, event in enumerate(events):
                position = Position(partition, offset + number)
                if event.ts <= latest_ms:
                    before = max(before, event.ts)
                    yield from ((first, event.ts) for first in waiting)
                    waiting.clear()
                elif before:
                    yield position, before
                else:  # nothing is known before it: it gets the time of the next right one
                    waiting.append(position)
            offset += len(events)
        yield from ((first, latest_ms) for first in waiting)
