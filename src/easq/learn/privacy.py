"""Export or erase everything stored about a viewer. docs/privacy.md says what remains.

A live system has to be stopped for an erasure. The order makes every kill harmless: first the learner's
state, then the log, then the profiles, which are rebuilt from the log. Erasing again finishes the work.
"""

import base64
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from itertools import product
from typing import Any

import msgspec

from easq.errors import InputError
from easq.features.profiles import Profiles
from easq.home.arm_homes import learned_arms
from easq.home.home import Home
from easq.learn.live_learner import LiveLearner
from easq.learn.trainer import Trainer
from easq.log.base import EventLog, Position, partition_of
from easq.log.events import EVENTS, PROFILES, Behavior, Erased, Event, Request, ViewerUpdate
from easq.log.ids import LONGEST_ID, plain_name
from easq.log.packing import Column, unpack_floats, unpack_ids
from easq.log.rejects import remove_rejects
from easq.recipe.features import Number, Vector
from easq.recipe.recipe import Recipe

TOPICS = (EVENTS, PROFILES)
_READ = 2048
_DAY_MS = 86_400_000


def export(log: EventLog, user_id: str, recipe: Recipe | None) -> Iterator[dict[str, Any]]:
    """Yield everything that a log holds about a viewer, ready for JSON: each event, then the profile.

    With a recipe, feature columns are lists of its ids and numbers, and a profile follows. Without one,
    feature columns are base64 and there is no profile.
    """
    profiles = Profiles.of(recipe, log.partitions(EVENTS)) if recipe else None
    numbers = {f.name for f in recipe.features if isinstance(f, Number | Vector)} if recipe else set()
    forms, last_ts = forms_of([user_id]), 0
    partitions = sorted({partition_of(form, log.partitions(EVENTS)) for form in forms})
    for topic, partition in product(TOPICS, partitions):
        for offset, events in _read(log, topic, partition):
            if profiles:
                profiles.apply(topic, partition, events)
            for number, event in enumerate(events):
                last_ts = max(last_ts, event.ts)
                if event.user_id in forms and not isinstance(event, Erased):
                    place = {"topic": topic, "partition": partition, "offset": offset + number}
                    yield {**place, "event": _readable(event, numbers if recipe else None)}
    if profiles:
        yield {"profile": _profile(profiles, user_id, last_ts, numbers)}


def erase(log: EventLog, users: Collection[str]) -> dict[str, int]:
    """Replace all events of viewers with tombstones; return how many by topic.

    A name of digits is erased in every form: `1003.0`, which older imports wrote, too.
    """
    wanted = set(forms_of(users))
    partitions = {partition_of(user, log.partitions(EVENTS)) for user in wanted}
    return _erase(log, partitions, lambda event: event.user_id in wanted)


def forms_of(users: Iterable[str]) -> list[str]:
    """Return the names under which a log may hold viewers: a whole number also as a float's text.

    Services of before took `1003.00` too, so there are as many forms as an id has places. Raises InputError
    for an empty name, which is that of events without a viewer.

    >>> forms_of(["1003", "ann"])[:3], forms_of(["ann"])
    (['1003', '1003.0', '1003.00'], ['ann'])
    """
    forms: dict[str, None] = {}
    for user in users:
        if not user:
            raise InputError("user: got an empty id; allowed: the id of a viewer")
        plain = plain_name(user)
        forms |= dict.fromkeys((plain, user))
        if plain_name(f"{plain}.0") == plain:
            forms |= dict.fromkeys(f"{plain}.{'0' * num}" for num in range(1, LONGEST_ID - len(plain)))
    return list(forms)


def erase_home(home: Home, users: Collection[str]) -> dict[str, Any]:
    """Erase viewers from a stopped live system. Raises InputError while a role runs."""
    with home.lock("service"), home.open_events() as events:
        seq = amend_learners(home, events, lambda trainer: trainer.forget(forms_of(users)))
        erased = erase(events, users)
        remove_copies(home)
        _remove_past(home)
        removed = remove_rejects(home.folder / "events.log")
    return {"erased": erased, "removed": removed, "step": seq}


def expire_home(home: Home, now_ms: int) -> dict[str, Any]:
    """Erase the events of a stopped live system that are older than `retention.keep_days`.

    Profile updates from the platform stay. Raises InputError while a role runs, or if the retention is
    unlimited.
    """
    days = home.recipe.retention.keep_days
    if not days:
        raise InputError("retention.keep_days: got 0, which keeps everything; set how many days to keep")
    oldest = now_ms - round(days * _DAY_MS)
    with home.lock("service"), home.open_events() as events:
        seq = amend_learners(home, events, lambda trainer: trainer.forget(()))
        partitions = range(events.partitions(EVENTS))
        erased = _erase(events, partitions, lambda event: event.ts < oldest, (EVENTS,))
        remove_copies(home)
        _remove_past(home)
        removed = remove_rejects(home.folder / "events.log")
    return {"erased": erased, "removed": removed, "step": seq}


def _erase(
    log: EventLog,
    partitions: Collection[int],
    is_wanted: Callable[[Event], bool],
    topics: Collection[str] = TOPICS,
) -> dict[str, int]:
    counts = {}
    for topic in topics:
        positions = [
            Position(partition, offset + number)
            for partition in sorted(partitions)
            for offset, events in _read(log, topic, partition)
            for number, event in enumerate(events)
            if not isinstance(event, Erased) and is_wanted(event)
        ]
        # Without positions too: an interrupted erasure may have left bytes.
        log.erase(topic, positions)
        counts[topic] = len(positions)
    return counts


def amend_learners(home: Home, events: EventLog, change: Callable[[Trainer], None]) -> int:
    """Change the state of every learner of a home; return the step of the main model that records it.

    Call it before events of the log change: a learner first repeats what it has recorded. Raises InputError
    while one runs.
    """
    with ExitStack() as locks:
        homes = [home, *learned_arms(home)]
        for learned in homes:
            locks.enter_context(learned.lock("learner"))
        seq, *_ = [_amend(learned, events, change) for learned in homes]
        return seq


def _amend(home: Home, events: EventLog, change: Callable[[Trainer], None]) -> int:
    with home.open_updates() as updates:
        learner = LiveLearner(home, events, updates, time.time)
        learner.recover()
        learner.amend(change)
        learner.close()
        return learner.seq


def remove_copies(home: Home) -> None:
    """Remove the profiles and the state of asking: the service rebuilds both from the log."""
    for name in (home.profiles_path.name, home.asks_path.name):
        for path in home.folder.glob(f"{name}*"):
            path.unlink()


def _remove_past(home: Home) -> None:
    """Remove what `easq renew` has set aside, which holds viewers too."""
    if home.past.exists():
        shutil.rmtree(home.past)


def _read(log: EventLog, topic: str, partition: int) -> Iterator[tuple[int, list[Event]]]:
    offset = log.start_offsets(topic)[partition]
    while events := log.read(topic, partition, offset, _READ):
        yield offset, events
        offset += len(events)


def _readable(event: Event, numbers: Collection[str] | None) -> dict[str, Any]:
    """Return an event with its columns unpacked."""
    fields: dict[str, Any] = {"type": event.__struct_config__.tag, **msgspec.structs.asdict(event)}
    if isinstance(event, Behavior):
        fields["values"] = {name: unpack_floats(column).tolist() for name, column in event.values.items()}
    elif isinstance(event, Request):
        for side in ("viewer", "candidates"):
            fields[side] = _columns(fields[side], numbers)
        for name in ("scores", "propensities"):
            fields[name] = unpack_floats(fields[name]).tolist()
        for name in ("lengths", "ranks"):
            fields[name] = msgspec.to_builtins(fields[name])
    elif isinstance(event, ViewerUpdate):
        fields["values"] = _columns(fields["values"], numbers)
    return fields


def _columns(columns: dict[str, Column], numbers: Collection[str] | None) -> dict[str, Any]:
    if numbers is None:
        return {name: base64.b64encode(column).decode() for name, column in columns.items()}
    return {
        name: (unpack_floats(column) if name in numbers else unpack_ids(column)).tolist()
        for name, column in columns.items()
    }


def _profile(profiles: Profiles, user_id: str, ts: int, numbers: Collection[str]) -> dict[str, Any]:
    values = profiles.viewer_values(user_id)
    return {
        "told": None if values is None else _columns(values, numbers),
        "histories": profiles.histories_of(user_id),
        "rates": profiles.rates_of(user_id, ts),
    }
