"""Group commit: one write makes the appends of many concurrent calls durable.

The disk takes about the same time for one event and for a thousand. Meanwhile the events of other calls
gather, and the next write takes all of them.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Condition, Thread

from easq.log.base import EventLog, LogError, Position
from easq.log.events import Event

_GROUP = 4096  # events in one write


class _Call:
    def __init__(self, topic: str, events: Sequence[Event]) -> None:
        self.topic, self.events = topic, events
        self.done: Future[list[Position | None]] = Future()


class Committer:
    """Appends for an event loop, in one thread of its own from `start` to `close`.

    At most `max_waiting` events wait.
    """

    def __init__(self, log: EventLog, max_waiting: int = 100_000) -> None:
        self._log, self._max_waiting = log, max_waiting
        self._calls: list[_Call] = []
        self._num_waiting = 0
        self._closed = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="committer", daemon=True)

    def start(self) -> None:
        """Start the thread that writes."""
        self._thread.start()

    async def append(self, topic: str, events: Sequence[Event]) -> list[Position | None]:
        """Return the positions of the events once they are durable, None for those whose id is taken.

        Raises LogError when the write that held them failed, or when too many wait. A caller that stops
        waiting before the write begins withdraws the events.
        """
        return await asyncio.wrap_future(self.submit(topic, events)) if events else []

    def submit(self, topic: str, events: Sequence[Event]) -> Future[list[Position | None]]:
        """Queue events behind all that wait; return a future of what `append` returns or raises.

        Raises LogError when too many wait.
        """
        call = _Call(topic, events)
        with self._changed:
            if self._closed:
                raise LogError("the service is stopping; nothing was written")
            if self._num_waiting + len(events) > self._max_waiting:
                raise LogError(f"{self._num_waiting} events wait for the log already; nothing was written")
            self._calls.append(call)
            self._num_waiting += len(events)
            self._changed.notify()
        return call.done

    def close(self) -> None:
        """Write everything that waits, then stop; blocks until that is done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while calls := self._take():
            for topic in dict.fromkeys(call.topic for call in calls):
                self._write(topic, [call for call in calls if call.topic == topic])

    def _take(self) -> list[_Call]:
        """Wait for calls and return those of the next write; none when everything is written and closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._closed)
            size = num_events = 0
            while size < len(self._calls) and (not size or num_events < _GROUP):
                num_events += len(self._calls[size].events)
                size += 1
            taken, self._calls = self._calls[:size], self._calls[size:]
            self._num_waiting -= num_events
            return taken

    def _write(self, topic: str, calls: list[_Call]) -> None:
        calls = [call for call in calls if call.done.set_running_or_notify_cancel()]
        if not calls:
            return
        try:
            positions = self._log.append_each(topic, [event for call in calls for event in call.events])
        except Exception as error:
            for call in calls:
                call.done.set_exception(error)
            return
        start = 0
        for call in calls:
            end = start + len(call.events)
            call.done.set_result(positions[start:end])
            start = end
