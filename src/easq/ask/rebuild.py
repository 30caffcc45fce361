"""What asking remembers, read from the log again: only as much of it as matters."""

from easq.ask.policy import DAY_MS
from easq.ask.state import Asks
from easq.events import EVENTS
from easq.log.base import EventLog
from easq.log.merge import MergedReader


def catch_up(asks: Asks, log: EventLog, now_ms: int) -> None:
    """Bring asks that have heard nothing up to the log's end; may raise LogError."""
    ends = log.end_offsets(EVENTS)
    # A day more than is remembered: events are not in the exact order of their times.
    since_ms = now_ms - asks.rule.memory_ms - DAY_MS
    starts = [
        first_since(log, partition, start, end, since_ms)
        for partition, (start, end) in enumerate(zip(log.start_offsets(EVENTS), ends, strict=True))
    ]
    for events in MergedReader(log, EVENTS, ends, starts):
        asks.hear([event for _, event in events])
    asks.offsets = ends


def first_since(log: EventLog, partition: int, start: int, end: int, since_ms: int) -> int:
    """Return the first offset between `start` and `end` whose event is not older, by bisection."""
    while start < end:
        middle = (start + end) // 2
        (event,) = log.read(EVENTS, partition, middle, 1)
        if event.ts < since_ms:
            start = middle + 1
        else:
            end = middle
    return start
