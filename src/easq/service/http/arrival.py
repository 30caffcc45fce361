"""When a call arrived, and whether somebody still waits for its reply."""

from asyncio import Transport
from typing import NamedTuple


class Arrival(NamedTuple):
    """A call's arrival: `at_s` is the event loop's time when its head had been read."""

    at_s: float
    transport: Transport

    @property
    def is_abandoned(self) -> bool:
        """Return whether the caller has left."""
        return self.transport.is_closing()
