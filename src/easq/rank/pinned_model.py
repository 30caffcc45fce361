"""A model as it stood at one moment, with how far it had read the log: what came after is news to it."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta
from safetensors import SafetensorError

from easq.errors import InputError
from easq.home.home import Home
from easq.home.snapshots import Snapshots
from easq.log.base import TrimmedError
from easq.log.events import UPDATES, Delta
from easq.log.sqlite import SqliteLog
from easq.rank.parameters import SERVED, Parameters

_READ = 64
_TRIES = 3


class PinnedModel(NamedTuple):
    """Parameters that nobody changes; `until` is how far each partition of EVENTS had been read."""

    home: Home
    parameters: Parameters
    until: list[int]

    @property
    def name(self) -> str:
        """Return the name of the version."""
        return self.parameters.name


def newest(home: Home) -> PinnedModel:
    """Return the newest parameters that a home's learner published: its last version and what followed.

    Raises InputError where there is no version.
    """
    left = _TRIES
    while True:
        name = _last(home.versions.names(), home)
        try:
            found = _of(home, home.versions, name)
        except InputError:  # a newer one may have taken its place
            left -= 1
            if not left:
                raise
        else:
            return _followed(found)


def freeze(home: Home) -> str:
    """Keep the newest parameters of a home and return their version's name.

    Raises InputError where there are none, where they cannot be written, and while another freeze runs.
    """
    with home.alone("freeze"):
        found = newest(home)
        notes = {"seq": found.parameters.seq, "until": found.until}
        try:
            return home.frozen.save(found.parameters.seq, found.parameters.state(), notes)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{home.folder / 'frozen'} cannot be written: {error}") from None


def frozen(home: Home, name: str | None = None) -> PinnedModel:
    """Return the version `name`, frozen or kept; without one the newest frozen, or else the newest.

    Raises InputError for a version that is neither, naming those that there are.
    """
    names = home.frozen.names()
    if name is None:
        return _of(home, home.frozen, names[-1]) if names else newest(home)
    if name in names:
        return _of(home, home.frozen, name)
    if name not in home.versions.names():
        there = ", ".join([*names, *home.versions.names()]) or "none"
        raise InputError(f"version: got {name!r}; {home.folder} keeps {there}")
    return _of(home, home.versions, name)


def _last(names: Sequence[str], home: Home) -> str:
    if not names:
        raise InputError(f"{home.folder} holds no version of its model yet: let its learner run first")
    return names[-1]


class _Notes(msgspec.Struct):
    seq: Annotated[int, Meta(ge=0)]
    until: list[Annotated[int, Meta(ge=0)]]


def _of(home: Home, snapshots: Snapshots, name: str) -> PinnedModel:
    try:
        notes, state = msgspec.convert(snapshots.notes(name), _Notes), snapshots.load(name, SERVED)
    except InputError:
        raise
    except (OSError, ValueError, SafetensorError, msgspec.ValidationError) as error:
        raise InputError(f"version {name} of {home.folder} cannot be read: {error}") from None
    parameters = Parameters(home.recipe)
    if reason := parameters.refuses_version(state):
        raise InputError(f"version {name} of {home.folder} cannot be used: {reason}")
    parameters.replace(notes.seq, state)
    return PinnedModel(home, parameters, notes.until)


def _followed(found: PinnedModel) -> PinnedModel:
    """Apply the updates that follow upon a version, up to one that does not fit."""
    path, parameters, until = found.home.folder / "updates.log", found.parameters, found.until
    if not path.exists():  # an arm that is fixed at a version has nobody who changes it
        return found
    with SqliteLog(path, partitions=1, read_only=True) as updates:
        (offset,) = updates.start_offsets(UPDATES)
        while True:
            try:
                events = updates.read(UPDATES, 0, offset, _READ)
            except TrimmedError:  # the oldest went meanwhile; those that follow upon the version are there
                (offset,) = updates.start_offsets(UPDATES)
                continue
            if not events:
                return PinnedModel(found.home, parameters, until)
            offset += len(events)
            for event in events:
                if not isinstance(event, Delta) or event.seq <= parameters.seq:
                    continue
                if event.after > parameters.seq or parameters.refuses(event):
                    return PinnedModel(found.home, parameters, until)
                parameters.apply(event)
                until = list(event.until)
