"""The time of a partition, as its events tell it: how far they have come, whatever one wrong clock says."""

from collections.abc import Iterable, Sequence

FAR_MS = 43_200_000
"""A step of more than half a day ahead is believed only when further events confirm it."""
CONFIRMED_BY = 16
"""So many events in a row, all that far ahead: after a pause of the platform that is soon."""


class EventTime:
    """The newest time of a sequence of events, in ms. `ahead` counts the last events that ran far ahead.

    It is a function of the events alone. The first event sets it. An event at most half a day ahead moves it
    to its own time. Fewer than 16 in a row that lie further ahead do not move it; the 16th moves it to the
    oldest of them.

    >>> time = EventTime(1_000)
    >>> time.move(2_000), time.move(10 * FAR_MS), time.move(3_000)
    (2000, 2000, 3000)
    >>> [time.move(10 * FAR_MS + n) for n in range(CONFIRMED_BY)][-2:]
    [3000, 432000000]
    """

    __slots__ = ("ahead", "newest", "oldest_ahead")

    def __init__(self, newest: int = 0, ahead: int = 0, oldest_ahead: int = 0) -> None:
        self.newest, self.ahead, self.oldest_ahead = newest, ahead, oldest_ahead

    def move(self, ts: int) -> int:
        """Take the next event's time, and return the newest."""
        newest = self.newest
        if ts <= newest:
            self.ahead = 0
        elif ts <= newest + FAR_MS or newest == 0:
            self.newest, self.ahead = ts, 0
        else:
            self.oldest_ahead = min(self.oldest_ahead, ts) if self.ahead else ts
            self.ahead += 1
            if self.ahead == CONFIRMED_BY:
                self.newest, self.ahead = self.oldest_ahead, 0
        return self.newest

    def state(self) -> list[int]:
        """Return the whole state as numbers; `EventTime(*numbers)` continues from it."""
        return [self.newest, self.ahead, self.oldest_ahead if self.ahead else 0]

    def copy(self) -> "EventTime":
        """Return the same time in an object of its own."""
        return EventTime(*self.state())


def times_of(newest: Sequence[int], ahead: Iterable[Sequence[int]] = ()) -> list[EventTime]:
    """Return a time per partition: `newest`, with what runs ahead of it if that is given."""
    rest = list(ahead) or [(0, 0)] * len(newest)
    return [EventTime(n, *map(int, more)) for n, more in zip(newest, rest, strict=True)]
