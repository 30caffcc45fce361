"""The rankings that views may refer to: who got which items, while their answers can still be joined."""

from array import array
from collections import deque
from typing import NamedTuple

from easq.events import Request


class _Served(NamedTuple):
    ts: int
    user_id: str
    items: "array[int]"


class Served:
    """The requests of the last `window_ms`, their items as hashes of this process: about 400 bytes each."""

    def __init__(self, window_ms: int) -> None:
        self._window = window_ms
        self._by_id: dict[str, _Served] = {}
        self._heard: deque[tuple[int, str]] = deque()

    def hear(self, request: Request, now_ms: int) -> None:
        """Take a request, if it is not too old."""
        if request.ts + self._window >= now_ms and request.event_id not in self._by_id:
            items = array("q", map(hash, request.items))
            self._by_id[request.event_id] = _Served(request.ts, request.user_id, items)
            self._heard.append((request.ts, request.event_id))

    def forget(self, now_ms: int) -> None:
        """Let go of those that have become too old."""
        while self._heard and self._heard[0][0] + self._window < now_ms:
            del self._by_id[self._heard.popleft()[1]]

    def why_not(self, user_id: str, request_id: str, item_id: str, now_ms: int) -> str:
        """Return why these are not a view that can be asked about; empty if they are."""
        found = self._by_id.get(request_id)
        if found is None or found.ts + self._window < now_ms:
            return "the ranking is not known, or older than join.answer_window"
        if found.user_id != user_id:
            return "the ranking was another viewer's"
        if hash(item_id) not in found.items:
            return "the item is not among those logged of the ranking (service.log_top)"
        return ""

    def until(self, request_id: str) -> int:
        """Return when an answer to a known request comes too late."""
        return self._by_id[request_id].ts + self._window

    def latest(self, user_id: str, item_id: str) -> str:
        """Return the newest request that put an item before a viewer, empty if there is none."""
        found = [
            (served.ts, request_id)
            for request_id, served in self._by_id.items()
            if served.user_id == user_id and hash(item_id) in served.items
        ]
        return max(found)[1] if found else ""
