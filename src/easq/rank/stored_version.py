"""Read a stored version of the parameters, and check that it can be served."""

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from easq.home.checksums import DamagedError
from easq.home.snapshots import Snapshots, StoredState
from easq.rank.parameters import SERVED, Parameters


class StoredVersion(NamedTuple):
    """The checked arrays of version `seq`.

    `until` is how far each partition of EVENTS had been read; None if the version does not say.
    """

    seq: int
    until: list[int] | None
    state: StoredState


class UnusableVersionError(ValueError):
    """A version is damaged or belongs to another model. The message continues "version v1 ..."."""


class _Notes(msgspec.Struct):
    seq: Annotated[int, Meta(ge=0)]
    until: list[Annotated[int, Meta(ge=0)]] | None = None


def read_version(
    versions: Snapshots, name: str, parameters: Parameters, newer_than: int = -1
) -> StoredVersion | None:
    """Return a version that `parameters` can become; None if its number is `newer_than` or lower.

    Raises InputError if there is no version of this name, UnusableVersionError, and OSError.
    """
    try:
        notes = msgspec.convert(versions.notes(name), _Notes)
        if notes.seq <= newer_than:
            return None
        state = versions.load(name, SERVED)
    except (DamagedError, msgspec.ValidationError) as error:
        raise UnusableVersionError(f"cannot be read: {error}") from None
    if reason := parameters.refuses_version(state):
        raise UnusableVersionError(f"cannot be used: {reason}")
    return StoredVersion(notes.seq, notes.until, state)
