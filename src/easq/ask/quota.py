"""How much of a day's quota is shown or reserved."""

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush

from easq.ask.decisions import Ask
from easq.ask.policy import DAY_MS


class Quota:
    """Counts asks by day (UTC).

    An offered ask reserves its place for `reserve_ms`. If it was not shown by then, it lapses and its
    place is free again.
    """

    def __init__(self, reserve_ms: int, ask: Callable[[str], Ask | None]) -> None:
        self._reserve_ms, self._ask = reserve_ms, ask
        self._reserved: list[tuple[int, str]] = []  # a heap of deadlines
        self._used: Counter[int] = Counter()

    def reserve(self, ask: Ask) -> None:
        """Reserve the place of an ask just offered."""
        self._used[_day(ask)] += 1
        heappush(self._reserved, (ask.offered.ts + self._reserve_ms, ask.ids.ask))

    def show(self, ask: Ask) -> None:
        """Count an ask as shown, whether or not it had lapsed."""
        if ask.is_lapsed:
            ask.is_lapsed = False
            self._used[_day(ask)] += 1
        ask.is_shown = True

    def used(self, now_ms: int) -> int:
        """Return how many asks of this day are shown, or reserved at this time. Changes nothing."""
        day, used = now_ms // DAY_MS, self._used[now_ms // DAY_MS]
        if not self._reserved or self._reserved[0][0] > now_ms:
            return used
        overdue = (self._lapsing(ask_id) for until, ask_id in self._reserved if until <= now_ms)
        return used - sum(ask is not None and _day(ask) == day for ask in overdue)

    def expire(self, now_ms: int) -> None:
        """Let the reservations lapse that have ended by now."""
        while self._reserved and self._reserved[0][0] <= now_ms:
            ask = self._lapsing(heappop(self._reserved)[1])
            if ask is not None:
                ask.is_lapsed = True
                self._used[_day(ask)] -= 1

    def forget(self, now_ms: int) -> None:
        """Forget the days before the day before yesterday."""
        for day in [day for day in self._used if day < now_ms // DAY_MS - 2]:
            del self._used[day]

    def reserved(self) -> list[tuple[int, str]]:
        """Return deadline and id of every reserved ask."""
        return list(self._reserved)

    def used_by_day(self) -> dict[int, int]:
        """Return the asks that count, by day since 1970."""
        return dict(self._used)

    def restore(self, reserved: list[tuple[int, str]], used_by_day: dict[int, int]) -> None:
        """Go on from what `reserved` and `used_by_day` returned."""
        self._reserved = reserved
        self._used.update(used_by_day)

    def _lapsing(self, ask_id: str) -> Ask | None:
        """Return the ask of an ended reservation, None if it was shown or is forgotten."""
        ask = self._ask(ask_id)
        return None if ask is None or ask.is_shown else ask


def _day(ask: Ask) -> int:
    return ask.offered.ts // DAY_MS
