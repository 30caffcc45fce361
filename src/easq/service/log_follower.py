"""Keeps the profiles up to date with the log: reads in a thread, applies on the event loop.

Only the loop touches the profiles, so a ranking needs no lock. The log is polled every 50 ms, so the appends
of many calls are read together and not while those calls are being answered. A caller that waits for its
own events has the log polled at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Event as Signal
from threading import Thread
from time import monotonic
from typing import NamedTuple, Protocol

import structlog

from easq.ask.state import Asks
from easq.log.base import EventLog, LogError, Position
from easq.log.events import EVENTS, PROFILES, Event

_CHUNK = 256  # events applied at once: a ranking waits no longer than for these
_POLL_S = 0.05
_RETRY_S = (0.1, 2.0)  # pauses after a failure, doubling between these

logger = structlog.get_logger("easq.service")


class FollowedStream(Protocol):
    """What the follower needs of the profiles."""

    @property
    def offsets(self) -> list[int]:
        """Return, by partition of EVENTS and then of PROFILES, the offset of the next event to apply."""
        ...

    def apply(self, topic: str, partition: int, events: Sequence[Event]) -> None:
        """Apply the next events of a partition."""
        ...


class FanOut:
    """Hands events to the profiles and to the state of asking, which may have seen some of EVENTS before."""

    def __init__(self, profiles: FollowedStream, asks: Asks) -> None:
        self._profiles, self._asks = profiles, asks

    @property
    def offsets(self) -> list[int]:
        """Return the offsets of the profiles."""
        return self._profiles.offsets

    def apply(self, topic: str, partition: int, events: Sequence[Event]) -> None:
        """Pass on the next events of a partition."""
        if topic == EVENTS:
            self._asks.ingest(partition, self._profiles.offsets[partition], events)
        self._profiles.apply(topic, partition, events)


class Stream(NamedTuple):
    """One partition of one topic; `place` is its index in the offsets of the profiles."""

    topic: str
    partition: int
    place: int


class LogFollower:
    """Follows EVENTS and PROFILES from `profiles.offsets` on.

    `save` is called every `save_seconds` in the thread, while nothing is applied. `failed` is called after
    each failure to read or save; the follower goes on. `broken` says why it stopped for good.
    """

    def __init__(
        self,
        log: EventLog,
        profiles: FollowedStream,
        save: Callable[[], None],
        save_seconds: float,
        failed: Callable[[], None],
    ) -> None:
        self._log, self._profiles, self._save, self._failed = log, profiles, save, failed
        self._save_seconds = save_seconds
        places = [(topic, p) for topic in (EVENTS, PROFILES) for p in range(log.partitions(topic))]
        self._streams = [Stream(topic, p, i) for i, (topic, p) in enumerate(places)]
        self._first = {topic: i for i, (topic, p) in enumerate(places) if p == 0}
        self._next = list(profiles.offsets)
        self._waiting: list[tuple[dict[int, int], asyncio.Future[None]]] = []
        self._woken, self._stopping = Signal(), False
        self._thread: Thread | None = None
        self.caught_up = False
        self.broken = ""

    def start(self) -> None:
        """Start following, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    async def reached(self, topic: str, positions: Sequence[Position]) -> None:
        """Wait until the profiles include the events at these positions."""
        wanted: dict[int, int] = {}
        for partition, offset in positions:
            index = self._first[topic] + partition
            wanted[index] = max(wanted.get(index, 0), offset + 1)
        if not self._includes(wanted):
            done: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append((wanted, done))
            self._woken.set()
            await done

    async def stop(self) -> None:
        """Stop following and save one last time."""
        self._stopping = True
        self._woken.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        retry_s, saved = _RETRY_S[0], monotonic()
        while not self._stopping:
            self._woken.clear()
            try:
                has_new = self._read()
                if monotonic() - saved >= self._save_seconds:
                    self._save()
                    saved = monotonic()
                retry_s = _RETRY_S[0]
            except (LogError, OSError) as error:
                self._failed()
                logger.warning("cannot follow the log", reason=str(error), retry_s=retry_s)
                self._woken.wait(retry_s)
                retry_s = min(2 * retry_s, _RETRY_S[1])
                continue
            except Exception as error:
                # Half applied is worse than stopped: the service then reports that it is not ready.
                self.broken = f"the profiles could not take an event: {error!r}"
                logger.exception("the follower stopped", reason=str(error))
                return
            if not has_new:
                self.caught_up = True
                self._woken.wait(_POLL_S)
        self._save_last()

    def _read(self) -> bool:
        """Apply at most a chunk of new events of each partition; return whether there were any."""
        has_new = False
        for topic in (EVENTS, PROFILES):
            ends = self._log.end_offsets(topic)
            for stream in self._streams:
                if stream.topic == topic and self._next[stream.place] < ends[stream.partition]:
                    events = self._log.read(topic, stream.partition, self._next[stream.place], _CHUNK)
                    self._hand_over(stream, events)
                    self._next[stream.place] += len(events)
                    has_new = True
        return has_new

    def _hand_over(self, stream: Stream, events: Sequence[Event]) -> None:
        done: Future[None] = Future()

        def apply() -> None:
            try:
                self._profiles.apply(stream.topic, stream.partition, events)
            except Exception as error:
                done.set_exception(error)
                return
            done.set_result(None)
            self._wake()

        self._loop.call_soon_threadsafe(apply)
        done.result()

    def _wake(self) -> None:
        """Wake the callers that wait for what is now applied."""
        if not self._waiting:
            return
        waiting = []
        for wanted, future in self._waiting:
            if not self._includes(wanted):
                waiting.append((wanted, future))
            elif not future.done():
                future.set_result(None)
        self._waiting = [(wanted, future) for wanted, future in waiting if not future.done()]

    def _includes(self, wanted: dict[int, int]) -> bool:
        return all(self._profiles.offsets[index] >= offset for index, offset in wanted.items())

    def _save_last(self) -> None:
        try:
            self._save()
        except (LogError, OSError) as error:
            self._failed()
            logger.warning("cannot save the profiles", reason=str(error))
