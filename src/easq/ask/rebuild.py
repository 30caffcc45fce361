"""Rebuild the state of asking from the log, reading only as much as matters."""

from easq.ask.policy import DAY_MS
from easq.ask.state import Asks
from easq.log.base import EventLog
from easq.log.events import EVENTS
from easq.log.merge import MergedReader


def catch_up(asks: Asks, log: EventLog, now_ms: int) -> None:
    """Bring asks up to the end of the log, from their offsets on if they have any.

    May raise LogError.
    """
    ends, begins = log.end_offsets(EVENTS), log.start_offsets(EVENTS)
    if asks.offsets:
        starts = [max(begin, offset) for begin, offset in zip(begins, asks.offsets, strict=True)]
    else:
        # A day more than is remembered: events are only roughly in order of time.
        since_ms = now_ms - asks.rule.memory_ms - DAY_MS
        starts = [
            first_since(log, partition, begin, end, since_ms)
            for partition, (begin, end) in enumerate(zip(begins, ends, strict=True))
        ]
    merged = MergedReader(log, EVENTS, ends, starts)
    asks.rebuild(([event for _, event in batch] for batch in merged), ends)


def first_since(log: EventLog, partition: int, start: int, end: int, since_ms: int) -> int:
    """Return, by bisection, the first offset between `start` and `end` whose event is not older."""
    while start < end:
        middle = (start + end) // 2
        (event,) = log.read(EVENTS, partition, middle, 1)
        if event.ts < since_ms:
            start = middle + 1
        else:
            end = middle
    return start
