"""The rankings that views may refer to: who got which items, while their answers can still be joined."""

from array import array
from collections import deque
from collections.abc import Iterable
from zlib import crc32

from easq.log.events import Request

_HEAD = 2  # numbers before the items: time and viewer


class KnownRequests:
    """The requests of the last `window_ms`: ids as checksums, about 450 bytes each.

    That a strange item has the checksum of one of 25 happens once in 170 million times: then a view is asked
    about that was not among those logged.
    """

    def __init__(self, window_ms: int) -> None:
        self._window = window_ms
        self._by_id: dict[str, bytes] = {}
        self._heard: deque[tuple[str, bytes]] = deque()

    def ingest(self, request: Request, now_ms: int) -> None:
        """Take a request, if it is not too old."""
        if request.ts + self._window >= now_ms and request.event_id not in self._by_id:
            numbers = (request.ts, _short(request.user_id), *map(_short, request.items))
            kept = self._by_id[request.event_id] = array("q", numbers).tobytes()
            self._heard.append((request.event_id, kept))

    def forget(self, now_ms: int) -> None:
        """Let go of those that have become too old."""
        while self._heard and self.until(self._heard[0][0]) < now_ms:
            del self._by_id[self._heard.popleft()[0]]

    def why_not(self, user_id: str, request_id: str, item_id: str, now_ms: int) -> str:
        """Return why these are not a view that can be asked about; empty if they are."""
        if request_id not in self._by_id or self.until(request_id) < now_ms:
            return "the ranking is not known, or older than join.answer_window"
        found = _numbers(self._by_id[request_id])
        if found[1] != _short(user_id):
            return "the ranking was another viewer's"
        if _short(item_id) not in found[_HEAD:]:
            return "the item is not among those logged of the ranking (service.log_top)"
        return ""

    def until(self, request_id: str) -> int:
        """Return when an answer to a known request comes too late."""
        return _numbers(self._by_id[request_id])[0] + self._window

    def latest(self, user_id: str, item_id: str) -> str:
        """Return the newest request that put an item before a viewer, empty if there is none."""
        viewer, item = _short(user_id), _short(item_id)
        found = [
            (served[0], request_id)
            for request_id, served in ((name, _numbers(kept)) for name, kept in self._by_id.items())
            if served[1] == viewer and item in served[_HEAD:]
        ]
        return max(found)[1] if found else ""

    def state(self) -> list[tuple[str, bytes]]:
        """Return all that is remembered, in the order in which it was heard."""
        return list(self._heard)

    def restore(self, kept: Iterable[tuple[str, bytes]]) -> None:
        """Remember what `state` returned."""
        self._heard.extend(kept)
        self._by_id.update(self._heard)


def _numbers(kept: bytes) -> "memoryview[int]":  # no generic class before 3.14
    return memoryview(kept).cast("q")


def _short(name: str) -> int:
    return crc32(name.encode("utf-8", "surrogatepass"))
