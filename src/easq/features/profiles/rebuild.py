"""Bring profiles to the end of the log, or to any offsets before."""

from collections.abc import Callable, Sequence

from easq.features.profiles.profiles import Profiles
from easq.features.profiles.store import ProfileStore
from easq.log.base import EventLog, LogError
from easq.log.events import EVENTS, PROFILES

CHUNK_EVENTS = 4096
SAVED_EVENTS = 1 << 18
"""Events between two saves of a long rebuild, which bounds the changes in memory."""


def end_offsets(log: EventLog) -> list[int]:
    """Return the end offsets of both topics, in the order of `Profiles.offsets`. May raise LogError."""
    return [*log.end_offsets(EVENTS), *log.end_offsets(PROFILES)]


def catch_up(
    profiles: Profiles,
    log: EventLog,
    until: Sequence[int] | None = None,
    after_chunk: Callable[[int], None] | None = None,
) -> None:
    """Apply the log's events up to the offsets `until`, or to its end now.

    `after_chunk` is called after each chunk with its number of events. Raises ValueError if the profiles are
    past `until`, and LogError if the log cannot be read or ends before.
    """
    ends = end_offsets(log) if until is None else list(until)
    if any(offset > end for offset, end in zip(profiles.offsets, ends, strict=True)):
        raise ValueError(f"profiles are at {profiles.offsets} and cannot go back to {ends}")
    num_partitions = log.partitions(EVENTS)
    for place, end in enumerate(ends):
        topic = EVENTS if place < num_partitions else PROFILES
        partition = place % num_partitions
        while (offset := profiles.offsets[place]) < end:
            events = log.read(topic, partition, offset, min(CHUNK_EVENTS, end - offset))
            if not events:
                raise LogError(f"topic {topic}, partition {partition} ends at {offset}, expected {end}")
            profiles.apply(topic, partition, events)
            if after_chunk:
                after_chunk(len(events))


def resume(profiles: Profiles, store: ProfileStore, log: EventLog) -> str | None:
    """Bring new profiles to the end of the log, starting from the store, and save them.

    Returns why the store's file could not be used, None if it could or there was none.
    """
    reason = store.load(profiles, end_offsets(log))
    unsaved = 0

    def save_if_due(num_events: int) -> None:
        nonlocal unsaved
        unsaved += num_events
        if unsaved >= SAVED_EVENTS:
            store.save(profiles)
            unsaved = 0

    catch_up(profiles, log, after_chunk=save_if_due)
    store.save(profiles)
    return reason
