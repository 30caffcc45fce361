"""The rankings that views may refer to: whose they are and their items, while answers can be joined."""

from array import array
from collections import deque
from collections.abc import Iterable
from zlib import crc32

from easq.log.events import Request

_HEAD = 2  # numbers before the items: time and viewer


class KnownRequests:
    """The requests of the last `window_ms`, with ids as checksums: about 450 bytes each.

    An unlogged item shares its checksum with one of 25 logged items once in 170 million times. Such a view
    may be asked about although it was not logged.
    """

    def __init__(self, window_ms: int) -> None:
        self._window = window_ms
        self._by_id: dict[str, bytes] = {}
        self._by_time: deque[tuple[str, bytes]] = deque()

    def ingest(self, request: Request, now_ms: int) -> None:
        """Add a request, unless it is too old."""
        if request.ts + self._window >= now_ms and request.event_id not in self._by_id:
            numbers = (request.ts, _short(request.user_id), *map(_short, request.items))
            packed = self._by_id[request.event_id] = array("q", numbers).tobytes()
            self._by_time.append((request.event_id, packed))

    def forget(self, now_ms: int) -> None:
        """Forget requests that have become too old."""
        while self._by_time and self.until(self._by_time[0][0]) < now_ms:
            del self._by_id[self._by_time.popleft()[0]]

    def why_not(self, user_id: str, request_id: str, item_id: str, now_ms: int) -> str:
        """Return why this is not a view that can be asked about; empty if it is."""
        if request_id not in self._by_id or self.until(request_id) < now_ms:
            return "the ranking is not known, or older than join.answer_window"
        numbers = _numbers(self._by_id[request_id])
        if numbers[1] != _short(user_id):
            return "the ranking was another viewer's"
        if _short(item_id) not in numbers[_HEAD:]:
            return "the item is not among those logged of the ranking (service.log_top)"
        return ""

    def until(self, request_id: str) -> int:
        """Return the time after which an answer to a known request is too late."""
        return _numbers(self._by_id[request_id])[0] + self._window

    def latest(self, user_id: str, item_id: str) -> str:
        """Return the id of the newest request of a viewer with an item, empty if there is none."""
        viewer, item = _short(user_id), _short(item_id)
        matches = [
            (numbers[0], request_id)
            for request_id, numbers in ((name, _numbers(packed)) for name, packed in self._by_id.items())
            if numbers[1] == viewer and item in numbers[_HEAD:]
        ]
        return max(matches)[1] if matches else ""

    def state(self) -> list[tuple[str, bytes]]:
        """Return all remembered requests, in the order of their arrival."""
        return list(self._by_time)

    def restore(self, state: Iterable[tuple[str, bytes]]) -> None:
        """Remember what `state` returned."""
        self._by_time.extend(state)
        self._by_id.update(self._by_time)


def _numbers(packed: bytes) -> "memoryview[int]":  # no generic class before 3.14
    return memoryview(packed).cast("q")


def _short(name: str) -> int:
    return crc32(name.encode("utf-8", "surrogatepass"))
