"""Saves the profiles while rankings are served: takes a copy, which a thread writes in slices."""

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Self

import structlog

from easq.features.profiles import Profiles
from easq.features.profiles.changes import Snapshot
from easq.features.profiles.store import ProfileStore, StoreError

_PAUSE_S = 0.002

logger = structlog.get_logger("easq.service")


class ProfileSaver:
    """Writes one save after the other into a store; leaving the context waits for the last one."""

    def __init__(self, store: ProfileStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, "saver")
        self._writing: Future[None] | None = None
        self._leaving = Event()

    def save(self, profiles: Profiles) -> None:
        """Copy the changes and start writing them, once the previous save is written.

        To be called by the thread that knows that nothing is applied to the profiles meanwhile.
        """
        self._wait()
        snapshot = self._store.snapshot(profiles)
        self._writing = self._thread.submit(self._write, snapshot)

    def _write(self, snapshot: Snapshot) -> None:
        try:
            self._store.write(snapshot, partial(self._leaving.wait, _PAUSE_S))
        except StoreError as error:  # the log has everything; the next save writes it
            logger.warning("profiles were not saved", reason=str(error))

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()  # raises any unforeseen error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()  # no request is served any more, so there is no need to pause
        self._thread.shutdown()
        self._wait()
