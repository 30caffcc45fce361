"""How many connections there may be, and which of them gives way to the next."""

import resource
from pathlib import Path
from typing import Protocol

_SPARE_FILES = 32  # for what the process opens later: logs, snapshots, the dashboard's process


class Idle(Protocol):
    """A connection on which no call is under way."""

    def give_way(self) -> None:
        """Close it."""
        ...


class IdleConnections:
    """At most `most` connections, and fewer where the process may not open so many files.

    A new one takes the place of the one that has been idle for longest, first of those that never made a
    call. So idle connections shut out nobody, and a call that is under way is never ended for another.
    """

    def __init__(self, most: int) -> None:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        num_open = sum(1 for _ in Path("/proc/self/fd").iterdir())
        free = most if limit == resource.RLIM_INFINITY else limit - num_open - _SPARE_FILES
        self.most = max(1, min(most, free))
        self._num = 0
        self._unused: dict[Idle, None] = {}
        self._used: dict[Idle, None] = {}

    def open(self, connection: Idle) -> bool:
        """Take in a new connection; return False if there is no room and nothing gives way."""
        self._num += 1
        if self._num <= self.most:
            self._unused[connection] = None
            return True
        for group in (self._unused, self._used):
            if (oldest := next(iter(group), None)) is not None:
                del group[oldest]
                oldest.give_way()
                self._unused[connection] = None
                return True
        return False

    def call(self, connection: Idle) -> None:
        """Note that a call is under way on a connection."""
        self._unused.pop(connection, None)
        self._used.pop(connection, None)

    def rest(self, connection: Idle) -> None:
        """Note that no call is under way on a connection any more."""
        self._used[connection] = None

    def close(self, connection: Idle) -> None:
        """Note that a connection has ended."""
        self.call(connection)
        self._num -= 1
