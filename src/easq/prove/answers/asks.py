"""Every ask of a log with its outcome, yielded once nothing more can arrive.

An ask is identified by its id; in logs without ids, by request, item and question.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from easq.arrays import F64
from easq.features.examples import Viewed
from easq.log.events import Answered, Asked, Dismissed, Event, Ignored

ANSWERED, DISMISSED, IGNORED, SILENT = "answered", "dismissed", "ignored", "silent"


@dataclass
class AskRecord:
    """One ask. `number` counts the viewer's asks from 1; `position` is the item's place in its request.

    `described` holds the response model's inputs from the view, None if the view's window never closed.
    """

    event: Asked
    number: int
    position: int = -1
    outcome: str = SILENT
    option: str = ""
    took_ms: int = 0
    weight: float = 1.0
    flags: tuple[str, ...] = ()
    described: F64 | None = None


class AskTracker:
    """Follows one partition; an ask ends `wait_ms` of event time after it was made."""

    def __init__(
        self, wait_ms: int, describe: Callable[[Viewed, AskRecord], F64], counted: Callable[[str], int]
    ):
        self._wait, self._describe, self._counted = wait_ms, describe, counted
        self._open: dict[tuple[str, str], AskRecord] = {}  # by viewer and id
        self._by_request: dict[str, list[AskRecord]] = {}
        self._queue: deque[tuple[str, str]] = deque()
        self._newest = 0

    def ingest(self, event: Event) -> Iterator[AskRecord]:
        """Add the next event, and yield the asks that have ended."""
        self._newest = max(self._newest, event.ts)
        if isinstance(event, Asked) and (event.user_id, event.event_id) not in self._open:
            # A log that begins later, or has lost a part, holds fewer asks than the event counts.
            ask = AskRecord(event, max(event.place + 1, self._counted(event.user_id)))
            self._open[event.user_id, event.event_id] = ask
            self._by_request.setdefault(event.request_id, []).append(ask)
            self._queue.append((event.user_id, event.event_id))
        elif isinstance(event, Answered | Dismissed | Ignored):
            self._end(event)
        while self._queue and self._open[self._queue[0]].event.ts + self._wait < self._newest:
            yield self._over()

    def add_view(self, view: Viewed) -> None:
        """Add a request whose window has closed."""
        for ask in self._by_request.get(view.request.event_id, ()):
            if ask.event.item_id in view.request.items:
                ask.position = view.request.items.index(ask.event.item_id)
                ask.described = self._describe(view, ask)

    def rest(self) -> Iterator[AskRecord]:
        """Yield the asks that are left at the end of a log."""
        while self._queue:
            yield self._over()

    def _over(self) -> AskRecord:
        ask = self._open.pop(self._queue.popleft())
        self._by_request.pop(ask.event.request_id, None)
        return ask

    def _end(self, event: Answered | Dismissed | Ignored) -> None:
        ask = self._open.get((event.user_id, event.ask_id))
        for other in self._by_request.get(event.request_id, ()):
            if (other.event.item_id, other.event.question) == (event.item_id, event.question):
                ask = ask or other
        # The first outcome holds, except that an answer overrides a widget that faded during the tap.
        if ask is None or ask.outcome == ANSWERED:
            return
        if isinstance(event, Answered):
            ask.outcome, ask.option = ANSWERED, event.option
            ask.took_ms = event.took_ms or max(0, event.ts - ask.event.ts)
            ask.weight, ask.flags = event.weight, tuple(event.flags)
        elif ask.outcome == SILENT:
            ask.outcome = DISMISSED if isinstance(event, Dismissed) else IGNORED
