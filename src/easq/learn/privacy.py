"""What is held of one viewer: give it out, or take it away. docs/privacy.md says what remains.

Erasing a live system needs it stopped. The order makes every kill harmless: first the learner's state
forgets, then the log, then the profiles, which are built from the log again. Erasing again finishes.
"""

import base64
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from typing import Any

import msgspec

from easq.errors import InputError
from easq.features.profiles import Profiles
from easq.home.arm_homes import learned_arms
from easq.home.home import Home
from easq.learn.live_learner import LiveLearner
from easq.log.base import EventLog, Position, partition_of
from easq.log.events import EVENTS, PROFILES, Behavior, Erased, Event, Request, ViewerUpdate
from easq.log.packing import Column, unpack_floats, unpack_ids
from easq.recipe.features import Numeric
from easq.recipe.recipe import Recipe

TOPICS = (EVENTS, PROFILES)
_READ = 2048
_DAY_MS = 86_400_000


def export(log: EventLog, user_id: str, recipe: Recipe | None) -> Iterator[dict[str, Any]]:
    """Yield everything that a log holds of a viewer, fit for JSON: each event, and at last the profile.

    With a recipe, feature columns are lists of its ids and numbers, and there is a profile; without one
    they are base64.
    """
    profiles = Profiles.of(recipe, log.partitions(EVENTS)) if recipe else None
    numbers = {f.name for f in recipe.features if isinstance(f, Numeric)} if recipe else set()
    partition, last_ts = partition_of(user_id, log.partitions(EVENTS)), 0
    for topic in TOPICS:
        for offset, events in _read(log, topic, partition):
            if profiles:
                profiles.apply(topic, partition, events)
            for number, event in enumerate(events):
                last_ts = max(last_ts, event.ts)
                if event.user_id == user_id and not isinstance(event, Erased):
                    place = {"topic": topic, "partition": partition, "offset": offset + number}
                    yield {**place, "event": _readable(event, numbers if recipe else None)}
    if profiles:
        yield {"profile": _profile(profiles, user_id, last_ts, numbers)}


def erase(log: EventLog, users: Collection[str]) -> dict[str, int]:
    """Put tombstones in the place of all events of viewers; return how many by topic."""
    wanted = set(users)
    partitions = {partition_of(user, log.partitions(EVENTS)) for user in wanted}
    return _erase(log, partitions, lambda event: event.user_id in wanted)


def erase_home(home: Home, users: Collection[str]) -> dict[str, Any]:
    """Erase viewers from a stopped live system. Raises InputError while a role runs."""
    with home.lock("service"), home.open_events() as events:
        seq = _forget(home, events, users)
        found = erase(events, users)
        _remove_copies(home)
    return {"erased": found, "step": seq}


def expire_home(home: Home, now_ms: int) -> dict[str, Any]:
    """Erase the events of a stopped live system that are older than `retention.keep_days`.

    What a platform told stays. Raises InputError while a role runs, or when nothing is to expire.
    """
    days = home.recipe.retention.keep_days
    if not days:
        raise InputError("retention.keep_days: got 0, which keeps everything; set how many days to keep")
    oldest = now_ms - round(days * _DAY_MS)
    with home.lock("service"), home.open_events() as events:
        seq = _forget(home, events, ())
        partitions = range(events.partitions(EVENTS))
        found = _erase(events, partitions, lambda event: event.ts < oldest, (EVENTS,))
        _remove_copies(home)
    return {"erased": found, "step": seq}


def _erase(
    log: EventLog,
    partitions: Collection[int],
    is_wanted: Callable[[Event], bool],
    topics: Collection[str] = TOPICS,
) -> dict[str, int]:
    found = {}
    for topic in topics:
        positions = [
            Position(partition, offset + number)
            for partition in sorted(partitions)
            for offset, events in _read(log, topic, partition)
            for number, event in enumerate(events)
            if not isinstance(event, Erased) and is_wanted(event)
        ]
        # Without positions too: an erasure that was cut short may have left bytes.
        log.erase(topic, positions)
        found[topic] = len(positions)
    return found


def _forget(home: Home, events: EventLog, users: Collection[str]) -> int:
    """Let the state of every learner forget viewers; return the step of the running model that says so."""
    with ExitStack() as held:
        homes = [home, *learned_arms(home)]
        for found in homes:
            held.enter_context(found.lock("learner"))
        seq, *_ = [_let_forget(found, events, users) for found in homes]
        return seq


def _let_forget(home: Home, events: EventLog, users: Collection[str]) -> int:
    with home.open_updates() as updates:
        learner = LiveLearner(home, events, updates, time.time)
        learner.recover()
        learner.forget(users)
        learner.close()
        return learner.seq


def _remove_copies(home: Home) -> None:
    """Remove the profiles and what asking remembers: the service builds both from the log again."""
    for name in (home.profiles_path.name, home.asks_path.name):
        for path in home.folder.glob(f"{name}*"):
            path.unlink()


def _read(log: EventLog, topic: str, partition: int) -> Iterator[tuple[int, list[Event]]]:
    offset = log.start_offsets(topic)[partition]
    while events := log.read(topic, partition, offset, _READ):
        yield offset, events
        offset += len(events)


def _readable(event: Event, numbers: Collection[str] | None) -> dict[str, Any]:
    """Return an event with its columns unpacked."""
    said: dict[str, Any] = {"type": event.__struct_config__.tag, **msgspec.structs.asdict(event)}
    if isinstance(event, Behavior):
        said["values"] = {name: unpack_floats(column).tolist() for name, column in event.values.items()}
    elif isinstance(event, Request):
        for side in ("viewer", "candidates"):
            said[side] = _columns(said[side], numbers)
        for name in ("scores", "propensities"):
            said[name] = unpack_floats(said[name]).tolist()
        for name in ("lengths", "ranks"):
            said[name] = msgspec.to_builtins(said[name])
    elif isinstance(event, ViewerUpdate):
        said["values"] = _columns(said["values"], numbers)
    return said


def _columns(columns: dict[str, Column], numbers: Collection[str] | None) -> dict[str, Any]:
    if numbers is None:
        return {name: base64.b64encode(column).decode() for name, column in columns.items()}
    return {
        name: (unpack_floats(column) if name in numbers else unpack_ids(column)).tolist()
        for name, column in columns.items()
    }


def _profile(profiles: Profiles, user_id: str, ts: int, numbers: Collection[str]) -> dict[str, Any]:
    told = profiles.viewer_values(user_id)
    return {
        "told": None if told is None else _columns(told, numbers),
        "histories": profiles.histories_of(user_id),
        "rates": profiles.rates_of(user_id, ts),
    }
