"""Follow the learner: begin with its newest version, apply its deltas in order, refuse what is wrong.

Reading and checking happen in a thread of their own; only the change itself is handed to the thread that
scores. Whatever is wrong with an update, the old parameters stay until a whole version replaces them.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog
from safetensors import SafetensorError

from easq.errors import InputError
from easq.home.home import Home
from easq.log.base import EventLog, LogError, TrimmedError
from easq.log.events import UPDATES, Delta, Event, VersionRecord
from easq.rank.parameters import SERVED, Parameters

_READ = 64
_WAIT_S = 0.25
_RETRY_S = 1.0

Hand = Callable[[Callable[[], None]], object]
"""Hands a change to the thread that scores; changes are made in the order in which they are handed."""

logger = structlog.get_logger()


@dataclass
class ReplicaStatus:
    """What has been followed: counts, and the newest answer that is in the parameters (event time, ms)."""

    seq: int = -1
    applied: int = 0
    refused: int = 0
    gaps: int = 0
    loaded: int = 0
    failures: int = 0
    newest_answer: int = 0


class Replica:
    """Keeps `parameters` at the learner's newest version.

    `poll` reads what is there; `start` does so in a thread, until `stop`. `on_change` hears, in the
    thread that scores, of every delta that was applied.
    """

    def __init__(
        self,
        home: Home,
        updates: EventLog,
        parameters: Parameters,
        hand: Hand,
        on_change: Callable[[Delta], None] = lambda _: None,
    ) -> None:
        self._versions, self._updates, self._parameters = home.versions, updates, parameters
        self._hand, self._on_change = hand, on_change
        self._offset = 0
        self._is_behind = True
        self._refused_version = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow-updates", daemon=True)
        self.followed = ReplicaStatus()

    def start(self) -> None:
        """Follow in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def poll(self) -> bool:
        """Read on once and hand over what fits; return whether there was anything.

        Raises LogError when the updates cannot be read.
        """
        if self.followed.seq < 0 and not self._load_newest():
            return False
        try:
            events = self._updates.read(UPDATES, 0, self._offset, _READ)
        except TrimmedError:  # if one was needed, the next that is there does not fit
            (self._offset,) = self._updates.start_offsets(UPDATES)
            return True
        self._offset += len(events)
        for event in events:
            self._take(event)
        return bool(events)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if not self.poll():
                    self._wait()
            except (LogError, OSError) as error:
                self.followed.failures += 1
                logger.warning("updates cannot be read", reason=str(error))
                self._stop.wait(_RETRY_S)
            except Exception:
                # Whatever is on the topic, rankings go on and a later version may heal it.
                self.followed.failures += 1
                logger.exception("an update could not be followed")
                self._is_behind = True
                self._stop.wait(_RETRY_S)

    def _wait(self) -> None:
        if self.followed.seq < 0:
            self._stop.wait(_WAIT_S)
        else:
            self._updates.wait(UPDATES, [self._offset], _WAIT_S)

    def _take(self, event: Event) -> None:
        if isinstance(event, VersionRecord):
            # Of a reload, the version at hand may be another one of the same number.
            is_news = event.reload and event.seq >= self.followed.seq
            if is_news or self._is_behind:
                self._load_newest(even_if_old=is_news)
        elif isinstance(event, Delta) and event.seq > self.followed.seq:
            if event.after > self.followed.seq:
                self._fall_behind(f"version {event.after} never came, which {event.seq} follows upon")
            elif reason := self._parameters.refuses(event):
                self.followed.refused += 1
                self._fall_behind(f"the update to {event.seq} is refused: {reason}")
            else:
                self._apply(event)

    def _apply(self, delta: Delta) -> None:
        self.followed.seq, self._is_behind = delta.seq, False
        self.followed.applied += 1
        self.followed.newest_answer = max(self.followed.newest_answer, delta.newest_answer)

        def change() -> None:
            self._parameters.apply(delta)
            self._on_change(delta)

        self._hand(change)

    def _fall_behind(self, reason: str) -> None:
        """Keep the old parameters, unless a newer version is there already."""
        if not self._is_behind:
            self.followed.gaps += 1
            logger.warning("parameters stay as they are", seq=self.followed.seq, reason=reason)
        self._is_behind = True
        self._load_newest()

    def _load_newest(self, even_if_old: bool = False) -> bool:
        """Load the newest version, if it is news, and read the updates again from their beginning."""
        names = self._versions.names()
        if not names:
            return False
        try:
            seq = int(self._versions.notes(names[-1])["seq"])
            if seq <= self.followed.seq and not even_if_old:
                return False
            state = self._versions.load(names[-1], SERVED)
        except (InputError, OSError):  # it was removed meanwhile; there is a newer one
            return False
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            return self._refuse_version(names[-1], f"it is damaged: {error}")
        if reason := self._parameters.refuses_version(state):
            return self._refuse_version(names[-1], reason)
        self.followed.seq, self._is_behind = seq, False
        self.followed.loaded += 1
        if not even_if_old:
            (self._offset,) = self._updates.start_offsets(UPDATES)
        self._hand(lambda: self._parameters.replace(seq, state))
        return True

    def _refuse_version(self, name: str, reason: str) -> bool:
        if name != self._refused_version:  # said once, though it is looked at again and again
            self._refused_version = name
            self.followed.refused += 1
            logger.error("version is refused", version=name, reason=reason)
        return False


class Replicas:
    """The follower of the running model, whose `followed` this has, and those of the arms' models."""

    def __init__(self, main: Replica, arms: Iterable[Replica]) -> None:
        self._all = (main, *arms)
        self.followed = main.followed

    def start(self) -> None:
        """Follow, each in a thread of its own."""
        for follower in self._all:
            follower.start()

    def stop(self) -> None:
        """End the threads."""
        for follower in self._all:
            follower.stop()
