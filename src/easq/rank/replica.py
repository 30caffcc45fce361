"""Follow the learner: start from its newest version, apply its deltas in order, refuse bad ones.

A thread of its own reads and checks. Only the change itself is handed to the thread that scores. If an
update is bad, the old parameters stay until a full version replaces them.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from easq.errors import InputError
from easq.home.home import Home
from easq.log.base import EventLog, LogError, TrimmedError
from easq.log.events import UPDATES, Delta, Event, VersionRecord
from easq.rank.parameters import Parameters
from easq.rank.stored_version import UnusableVersionError, read_version

_READ = 64
_WAIT_S = 0.25
_RETRY_S = 1.0

Hand = Callable[[Callable[[], None]], object]
"""Hand a change to the thread that scores, which makes changes in the order in which it gets them."""

logger = structlog.get_logger()


@dataclass
class ReplicaStatus:
    """Progress of a replica: counts, and the time of the newest answer in the parameters (event time, ms)."""

    seq: int = -1
    applied: int = 0
    refused: int = 0
    gaps: int = 0
    loaded: int = 0
    failures: int = 0
    newest_answer: int = 0


class Replica:
    """Keeps `parameters` at the learner's newest version.

    `poll` reads available updates once. `start` does so in a thread until `stop`. `on_change` is called with
    every applied delta, in the thread that scores.
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
        self._refused_versions: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow-updates", daemon=True)
        self.status = ReplicaStatus()

    def start(self) -> None:
        """Start following in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for its end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def poll(self) -> bool:
        """Read the next updates once and hand over those that fit; return whether there were any.

        Raises LogError if the updates cannot be read.
        """
        if self.status.seq < 0 and not self._load_newest():
            return False
        try:
            events = self._updates.read(UPDATES, 0, self._offset, _READ)
        except TrimmedError:  # if a trimmed update was needed, the next one does not fit
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
                self.status.failures += 1
                logger.warning("updates cannot be read", reason=str(error))
                self._stop.wait(_RETRY_S)
            except Exception:
                # Whatever the topic holds, rankings go on, and a later version may repair this.
                self.status.failures += 1
                logger.exception("an update could not be followed")
                self._is_behind = True
                self._stop.wait(_RETRY_S)

    def _wait(self) -> None:
        if self.status.seq < 0:
            self._stop.wait(_WAIT_S)
        else:
            self._updates.wait(UPDATES, [self._offset], _WAIT_S)

    def _take(self, event: Event) -> None:
        if isinstance(event, VersionRecord):
            # After a reload, the version at hand may be another one with the same number.
            is_newer = event.reload and event.seq >= self.status.seq
            if is_newer or self._is_behind:
                self._load_newest(even_if_old=is_newer)
        elif isinstance(event, Delta) and event.seq > self.status.seq:
            if event.after > self.status.seq:
                self._fall_behind(f"version {event.after} is missing, which {event.seq} follows")
            elif reason := self._parameters.refuses(event):
                self.status.refused += 1
                self._fall_behind(f"the update to {event.seq} is refused: {reason}")
            else:
                self._apply(event)

    def _apply(self, delta: Delta) -> None:
        self.status.seq, self._is_behind = delta.seq, False
        self.status.applied += 1
        self.status.newest_answer = max(self.status.newest_answer, delta.newest_answer)

        def change() -> None:
            self._parameters.apply(delta)
            self._on_change(delta)

        self._hand(change)

    def _fall_behind(self, reason: str) -> None:
        """Keep the old parameters, unless a newer version exists already."""
        if not self._is_behind:
            self.status.gaps += 1
            logger.warning("parameters stay as they are", seq=self.status.seq, reason=reason)
        self._is_behind = True
        self._load_newest()

    def _load_newest(self, even_if_old: bool = False) -> bool:
        """Load the newest version if it is newer, and read the updates again from the start.

        If it cannot be used, the one before it is tried; but not in the place of a version that must be
        loaded `even_if_old`, because the learner then went back to other parameters.
        """
        names = self._versions.names()[::-1]
        return any(self._load(name, even_if_old) for name in (names[:1] if even_if_old else names))

    def _load(self, name: str, even_if_old: bool) -> bool:
        newer_than = -1 if even_if_old else self.status.seq
        try:
            version = read_version(self._versions, name, self._parameters, newer_than)
        except UnusableVersionError as error:
            return self._refuse_version(name, str(error))
        except (InputError, OSError):  # it was removed meanwhile; there is a newer one
            return False
        if version is None:
            return False
        self.status.seq, self._is_behind = version.seq, False
        self.status.loaded += 1
        if not even_if_old:
            (self._offset,) = self._updates.start_offsets(UPDATES)
        self._hand(lambda: self._parameters.replace(version.seq, version.state))
        return True

    def _refuse_version(self, name: str, reason: str) -> bool:
        if name not in self._refused_versions:  # logged once, though it is read again at every poll
            self._refused_versions.add(name)
            self.status.refused += 1
            logger.error("version is refused", version=name, reason=reason)
        return False


class Replicas:
    """The replica of the running model, whose `status` this exposes, and those of the arms' models."""

    def __init__(self, main: Replica, arms: Iterable[Replica]) -> None:
        self._all = (main, *arms)
        self.status = main.status

    def start(self) -> None:
        """Start every replica in a thread of its own."""
        for replica in self._all:
            replica.start()

    def stop(self) -> None:
        """Stop all threads."""
        for replica in self._all:
            replica.stop()
