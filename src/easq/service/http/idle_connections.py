"""How many connections there may be, and which of them gives way to the next."""

import resource
from pathlib import Path
from typing import Protocol

_SPARE_FILES = 32  # for what the process opens later: logs, snapshots, the dashboard's process


class Idle(Protocol):
    """A connection on which no call is under way, or whose caller does not take the replies."""

    def give_way(self) -> None:
        """Close it."""
        ...


class IdleConnections:
    """At most `most` connections, and fewer where the process may not open so many files.

    A new one takes the place of the one that has been idle for longest. Those that are known, on which a call
    with a key was answered, come after all others, as long as they are at most half of all: so whoever
    connects, with a key or without, is not sent away before his call by idle connections of others, however
    often these are used. And a call that is under way is never ended for another.
    """

    def __init__(self, most: int) -> None:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        num_open = sum(1 for _ in Path("/proc/self/fd").iterdir())
        free = most if limit == resource.RLIM_INFINITY else limit - num_open - _SPARE_FILES
        self.most = max(1, min(most, free))
        self._num = 0
        self._known: dict[Idle, None] = {}  # the longest idle first, and so are the others
        self._others: dict[Idle, None] = {}

    def open(self, connection: Idle) -> bool:
        """Take in a new connection; return False if there is no room and nothing gives way."""
        self._num += 1
        if self._num > self.most:
            if (oldest := self._oldest()) is None:
                return False
            self.call(oldest)
            oldest.give_way()
        self._others[connection] = None
        return True

    def call(self, connection: Idle) -> None:
        """Note that a call is under way on a connection."""
        self._known.pop(connection, None)
        self._others.pop(connection, None)

    def rest(self, connection: Idle, is_known: bool) -> None:
        """Note that a connection may give way: no call is under way any more, or nobody takes the replies."""
        self.call(connection)
        (self._known if is_known else self._others)[connection] = None

    def close(self, connection: Idle) -> None:
        """Note that a connection has ended."""
        self.call(connection)
        self._num -= 1

    def _oldest(self) -> Idle | None:
        first, then = self._others, self._known
        if len(self._known) > self.most // 2:
            first, then = then, first
        return next(iter(first), None) or next(iter(then), None)
