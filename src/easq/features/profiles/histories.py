"""The items that each viewer consumed last."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Histories(Generic[T]):
    """The last `length` items of each viewer, oldest first."""

    def __init__(self, length: int) -> None:
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        self._length = length
        self._items: dict[str, list[T]] = {}

    def observe(self, user_id: str, items: Iterable[T]) -> None:
        """Add items that the viewer has just consumed, oldest first."""
        recent = self._items.get(user_id)
        if recent is None:
            recent = self._items[user_id] = []
        recent.extend(items)
        if len(recent) > self._length:
            del recent[: -self._length]

    def recent(self, user_id: str) -> Sequence[T]:
        """Return the viewer's items, oldest first. An unknown viewer has none."""
        return self._items.get(user_id, ())

    def all(self) -> Mapping[str, Sequence[T]]:
        """Return the items of every viewer who has any."""
        return self._items
