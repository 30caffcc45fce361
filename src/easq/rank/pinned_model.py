"""A model as of one moment, with how far it had read the log. Later events are unseen data for it."""

from collections.abc import Sequence
from typing import NamedTuple

from safetensors import SafetensorError

from easq.errors import InputError
from easq.home.home import Home
from easq.home.snapshots import Snapshots
from easq.log.base import TrimmedError
from easq.log.events import UPDATES, Delta
from easq.log.sqlite import SqliteLog
from easq.rank.parameters import Parameters
from easq.rank.stored_version import UnusableVersionError, read_version

_READ = 64
_TRIES = 3


class PinnedModel(NamedTuple):
    """Parameters that nobody changes. `until` is how far each partition of EVENTS had been read."""

    home: Home
    parameters: Parameters
    until: list[int]

    @property
    def name(self) -> str:
        """Return the name of the version."""
        return self.parameters.name


def newest(home: Home) -> PinnedModel:
    """Return the newest parameters that a home's learner published, with the updates after its last version.

    A version that cannot be used is passed over: the updates lead on from the one before it. Raises
    InputError if there is no version, or if none can be used.
    """
    first: InputError | None = None
    for _ in range(_TRIES):  # newer versions may take the place of all that were listed
        names = home.versions.names()
        for name in [_last(names, home), *names[-2::-1]]:
            try:
                model = _load(home, home.versions, name)
            except InputError as error:
                first = first or error
            else:
                return _apply_updates(model)
    assert first is not None
    raise first


def freeze(home: Home) -> str:
    """Keep the newest parameters of a home and return their version's name.

    Raises InputError if there are none, if they cannot be written, and while another freeze runs.
    """
    with home.lock("freeze"):
        model = newest(home)
        notes = {"seq": model.parameters.seq, "until": model.until}
        try:
            return home.frozen.save(model.parameters.seq, model.parameters.state(), notes)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{home.folder / 'frozen'} cannot be written: {error}") from None


def frozen(home: Home, name: str | None = None) -> PinnedModel:
    """Return the version `name`, frozen or kept. Without a name: the newest frozen, or else the newest.

    Raises InputError for a version that is neither, naming those that exist.
    """
    names = home.frozen.names()
    if name is None:
        return _load(home, home.frozen, names[-1]) if names else newest(home)
    if name in names:
        return _load(home, home.frozen, name)
    if name not in home.versions.names():
        stored = ", ".join([*names, *home.versions.names()]) or "none"
        raise InputError(f"version: got {name!r}; {home.folder} keeps {stored}")
    return _load(home, home.versions, name)


def _last(names: Sequence[str], home: Home) -> str:
    if not names:
        raise InputError(f"{home.folder} holds no version of its model yet: let its learner run first")
    return names[-1]


def _load(home: Home, snapshots: Snapshots, name: str) -> PinnedModel:
    parameters = Parameters(home.recipe)
    try:
        version = read_version(snapshots, name, parameters)
    except UnusableVersionError as error:
        raise InputError(f"version {name} of {home.folder} {error}") from None
    except OSError as error:
        raise InputError(f"version {name} of {home.folder} cannot be read: {error}") from None
    if version is None or version.until is None:
        raise InputError(f"version {name} of {home.folder} cannot be read: its notes lack `until`")
    parameters.replace(version.seq, version.state)
    return PinnedModel(home, parameters, version.until)


def _apply_updates(model: PinnedModel) -> PinnedModel:
    """Apply the updates that follow a version, up to the first that does not fit."""
    path, parameters, until = model.home.folder / "updates.log", model.parameters, model.until
    if not path.exists():  # an arm fixed at a version has no learner
        return model
    with SqliteLog(path, partitions=1, read_only=True) as updates:
        (offset,) = updates.start_offsets(UPDATES)
        while True:
            try:
                events = updates.read(UPDATES, 0, offset, _READ)
            except TrimmedError:  # the oldest updates were trimmed; those after the version remain
                (offset,) = updates.start_offsets(UPDATES)
                continue
            if not events:
                return PinnedModel(model.home, parameters, until)
            offset += len(events)
            for event in events:
                if not isinstance(event, Delta) or event.seq <= parameters.seq:
                    continue
                if event.after > parameters.seq or parameters.refuses(event):
                    return PinnedModel(model.home, parameters, until)
                parameters.apply(event)
                until = list(event.until)
