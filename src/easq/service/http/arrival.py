"""When a call arrived, and whether somebody still waits for its reply."""

import time
from asyncio import Transport


class Arrival:
    """A call's arrival: `at_s` is the monotonic time when the last of it was read."""

    __slots__ = ("_transport", "at_s")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.at_s = time.monotonic()

    def complete(self) -> None:
        """Note that all of the call has been read."""
        self.at_s = time.monotonic()

    @property
    def is_abandoned(self) -> bool:
        """Return whether the caller has left."""
        return self._transport.is_closing()
