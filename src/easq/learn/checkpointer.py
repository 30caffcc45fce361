"""Save the live learner's state without stopping it: the state is copied, and a thread writes the copy."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from easq.home.home import Home
from easq.home.snapshots import JsonObject, Nested, copy_state
from easq.learn.publish import Publisher


class Checkpointer:
    """Writes checkpoints and versions, one at a time; `collect` announces a version once it is complete."""

    def __init__(self, home: Home, publisher: Publisher) -> None:
        self._home, self._publisher = home, publisher
        self._thread = ThreadPoolExecutor(1, "checkpointer")
        self._writing: Future[Any] | None = None
        self._version: tuple[int, int] | None = None

    @property
    def is_busy(self) -> bool:
        """Return whether something is being written."""
        return self._writing is not None

    def checkpoint(self, seq: int, state: Nested, notes: JsonObject) -> None:
        """Begin to write a checkpoint."""
        self.collect(wait=True)
        self._writing = self._thread.submit(self._home.checkpoints.save, seq, copy_state(state), notes)

    def version(self, seq: int, state: Nested, notes: JsonObject, ts: int) -> None:
        """Begin to write a version; it is announced when it is complete."""
        self.collect(wait=True)
        self._version = (seq, ts)
        self._writing = self._thread.submit(self._home.versions.save, seq, copy_state(state), notes)

    def reload(self, seq: int, state: Nested, notes: JsonObject, ts: int) -> None:
        """Write a version now and tell every ranker to load it."""
        self.collect(wait=True)
        self._publisher.announce(seq, self._home.versions.save(seq, state, notes), ts, reload=True)

    def collect(self, wait: bool = False) -> None:
        """Finish a write that is done, with `wait` also one that is not; raise the error that stopped it."""
        if self._writing is None or not (wait or self._writing.done()):
            return
        writing, self._writing = self._writing, None
        name = writing.result()
        version, self._version = self._version, None
        if version:
            seq, ts = version
            self._publisher.announce(seq, name, ts, reload=False)

    def close(self) -> None:
        """Wait for the write in progress, and end the thread."""
        self.collect(wait=True)
        self._thread.shutdown()
