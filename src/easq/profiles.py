"""What is known of viewers and items before a request: recent histories and rates, kept from events.

The code that writes a request's features reads them here; nothing after the request can leak in,
because a profile holds only what was observed before.
"""

from collections import deque
from collections.abc import Iterable

from easq.events import Column, pack_ids


class Histories:
    """The last `length` item ids of each viewer, oldest first."""

    def __init__(self, length: int) -> None:
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        self._length = length
        self._items: dict[str, deque[int]] = {}

    def observe(self, user_id: str, item_ids: Iterable[int]) -> None:
        """Add items that the viewer has just consumed, oldest first."""
        items = self._items.get(user_id)
        if items is None:
            items = self._items[user_id] = deque(maxlen=self._length)
        items.extend(item_ids)

    def column(self, user_id: str) -> Column:
        """Return the viewer's history as a packed id column; empty for an unknown viewer."""
        return pack_ids(tuple(self._items.get(user_id, ())))


class Rates:
    """How often a behaviour was shown per view, by id, the past fading by half every `half_life_ms`.

    While an id has few views its rate is drawn to the rate of all ids, as if it had `prior_views` of
    those. Times must not run backwards by much: what is observed late counts as if it were new.
    """

    def __init__(self, half_life_ms: float, prior_views: float) -> None:
        if half_life_ms <= 0 or prior_views <= 0:
            raise ValueError(f"half-life and prior must be positive, got {half_life_ms} and {prior_views}")
        self._half_life, self._prior = half_life_ms, prior_views
        self._counts: dict[int, tuple[float, float, int]] = {}
        self._all = (0.0, 0.0, 0)

    def observe(self, key: int, ts: int, shown: bool) -> None:
        """Count one view of `key`."""
        self._counts[key] = self._added(self._counts.get(key, (0.0, 0.0, ts)), ts, shown)
        self._all = self._added(self._all, ts, shown)

    def rate(self, key: int, ts: int) -> float:
        """Return the rate of `key` as of `ts`; NaN before anything was observed."""
        shown_all, views_all, _ = self._all
        if not views_all:
            return float("nan")
        prior = self._prior * shown_all / views_all
        found = self._counts.get(key)
        if found is None:
            return prior / self._prior
        fade = self._fade(ts - found[2])
        return (found[0] * fade + prior) / (found[1] * fade + self._prior)

    def _added(self, counts: tuple[float, float, int], ts: int, shown: bool) -> tuple[float, float, int]:
        fade = self._fade(ts - counts[2])
        return counts[0] * fade + shown, counts[1] * fade + 1, max(ts, counts[2])

    def _fade(self, passed_ms: int) -> float:
        return float(0.5 ** (max(0, passed_ms) / self._half_life))
