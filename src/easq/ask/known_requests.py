"""The rankings that views may refer to, with viewer and returned items, while answers can be joined."""

from collections import deque
from collections.abc import Iterable

from easq.log.events import Request

_BETWEEN = "\0"  # no id of a live request holds it
_TIME_BYTES = 8


class KnownRequests:
    """The requests of the last `window_ms`: their time, viewer and returned items, as bytes.

    A request takes as much as its ids and 150 bytes: 450 for 25 ids of 11 characters, at most 3.5 kB, and
    26 kB where a caller shows as many in the shadow as it may.
    """

    def __init__(self, window_ms: int) -> None:
        self._window = window_ms
        self._by_id: dict[str, bytes] = {}
        self._by_time: deque[tuple[str, bytes]] = deque()

    def ingest(self, request: Request, now_ms: int) -> None:
        """Add a request, unless it is too old."""
        if request.ts + self._window >= now_ms and request.event_id not in self._by_id:
            names = _BETWEEN.join((request.user_id, *request.returned))
            time = request.ts.to_bytes(_TIME_BYTES, "little", signed=True)
            packed = self._by_id[request.event_id] = time + names.encode("utf-8", "surrogatepass")
            self._by_time.append((request.event_id, packed))

    def forget(self, now_ms: int) -> None:
        """Forget requests that have become too old."""
        while self._by_time and self.until(self._by_time[0][0]) < now_ms:
            del self._by_id[self._by_time.popleft()[0]]

    def why_not(self, user_id: str, request_id: str, item_id: str, now_ms: int) -> str:
        """Return why this is not a view that can be asked about; empty if it is."""
        if request_id not in self._by_id or self.until(request_id) < now_ms:
            return "the ranking is not known, or older than join.answer_window"
        return self.contradiction(user_id, request_id, item_id)

    def contradiction(self, user_id: str, request_id: str, item_id: str) -> str:
        """Return why a known ranking cannot have shown a viewer an item; empty if it can, or is not known."""
        if request_id not in self._by_id:
            return ""
        viewer, *items = _names(self._by_id[request_id])
        if viewer != user_id:
            return "the ranking was another viewer's"
        if item_id not in items:
            return "the item is not among those that the ranking returned and logged (service.log_top)"
        return ""

    def made_at(self, request_id: str) -> int:
        """Return the time of a known request."""
        return _time(self._by_id[request_id])

    def until(self, request_id: str) -> int:
        """Return the time after which an answer to a known request is too late."""
        return self.made_at(request_id) + self._window

    def latest(self, user_id: str, item_id: str) -> str:
        """Return the id of the newest request of a viewer with an item, empty if there is none."""
        matches = []
        for request_id, packed in self._by_id.items():
            viewer, *items = _names(packed)
            if viewer == user_id and item_id in items:
                matches.append((_time(packed), request_id))
        return max(matches)[1] if matches else ""

    def state(self) -> list[tuple[str, bytes]]:
        """Return all remembered requests, in the order of their arrival."""
        return list(self._by_time)

    def restore(self, state: Iterable[tuple[str, bytes]]) -> None:
        """Remember what `state` returned."""
        self._by_time.extend(state)
        self._by_id.update(self._by_time)


def _time(packed: bytes) -> int:
    return int.from_bytes(packed[:_TIME_BYTES], "little", signed=True)


def _names(packed: bytes) -> list[str]:
    return packed[_TIME_BYTES:].decode("utf-8", "surrogatepass").split(_BETWEEN)
