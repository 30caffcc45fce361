"""What is known of viewers and items before a request: recent histories, kept from events.

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
