"""Parameters of a past version, to check what was served then."""

from easq.errors import InputError
from easq.home.home import Home
from easq.log.base import EventLog
from easq.log.events import UPDATES, Delta
from easq.rank.parameters import SERVED, Parameters

_READ = 64


def parameters_of(home: Home, updates: EventLog, name: str) -> Parameters:
    """Return the parameters of version `name`: a stored version and the deltas after it.

    Raises InputError when neither a kept version nor the updates that are still there lead to it.
    """
    versions, parameters = home.versions, Parameters(home.recipe)
    before = [version_ for version_ in versions.names() if version_ <= name]
    if not before:
        raise InputError(f"version {name} is older than all kept ones: {', '.join(versions.names())}")
    parameters.replace(int(versions.notes(before[-1])["seq"]), versions.load(before[-1], SERVED))
    (offset,) = updates.start_offsets(UPDATES)
    while events := updates.read(UPDATES, 0, offset, _READ):
        offset += len(events)
        for event in events:
            if isinstance(event, Delta) and event.seq > parameters.seq and event.name <= name:
                if event.after > parameters.seq:
                    raise InputError(f"the updates from version {before[-1]} to {name} were removed")
                parameters.apply(event)
    if parameters.name != name:
        raise InputError(f"there never was a version {name}; the last before it is {parameters.name}")
    return parameters
