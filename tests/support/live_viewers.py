"""The viewers of the small world as clients of a live service; they remember what they were promised."""

import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from easq.service.client import Client, Ranking
from easq.service.client_replies import ClientError
from easq.sources.world.recording import OPTIONS
from easq.sources.world.simulate import World, WorldChunk
from tests.support.small_worlds import small_world

T = TypeVar("T")

_BEHAVIORS = ("long_view", "like", "comment", "forward")
_COPY_EVERY = 5
_PUT_EVERY = 10
_PROPENSITY = 0.5


class Crowd:
    """Loads the service at `url` from `threads` threads, each pausing `pause_s` after a request.

    A call that fails is made again, with the same ids, until it is answered or the crowd leaves. Some
    are made twice for no reason, and now and then a viewer or an item is put again. `rankings` are the
    replies, `accepted` the events that the service accepted.
    """

    def __init__(self, url: str, pause_s: float = 0.02, threads: int = 3, seed: int = 1) -> None:
        self.world = small_world(seed)
        self.rankings: dict[str, Ranking] = {}
        self.accepted: dict[str, dict[str, Any]] = {}
        self.failures: list[str] = []
        self._pause_s, self._requests = pause_s, _requests(self.world)
        self._lock, self._leave = threading.Lock(), threading.Event()
        self._client = Client(url, timeout_s=5.0, retries=2)
        self._threads = [threading.Thread(target=self._live) for _ in range(threads)]

    @property
    def answers(self) -> set[str]:
        """Return the ids of the answers that were accepted."""
        # A copy: the threads go on while it is read.
        return {key for key, event in list(self.accepted.items()) if event["type"] == "answered"}

    def put_all(self) -> None:
        """Put all items and viewers."""
        self._client.put_items(dict(_item(self.world, n) for n in range(len(self.world.catalogue.topic_I))))
        self._client.put_users(dict(_user(self.world, n) for n in range(len(self.world.viewers.segment_U))))

    def __enter__(self) -> Self:
        """Start the threads."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the threads and check that nobody was refused."""
        self._leave.set()
        for thread in self._threads:
            thread.join()
        self._client.close()
        if kind is None:
            assert self.failures == []

    def _live(self) -> None:
        try:
            while not self._leave.is_set():
                with self._lock:
                    number, (chunk, r) = next(self._requests)
                self._visit(number, chunk, r)
                self._leave.wait(self._pause_s)
        except _LeftError:
            pass
        except Exception as error:
            self.failures.append(repr(error))
            raise

    def _visit(self, number: int, chunk: WorldChunk, r: int) -> None:
        user, items = f"u{chunk.user_R[r]}", [f"i{item}" for item in chunk.item_RC[r].tolist()]
        ranking = self._until_answered(lambda: self._client.rank(user, items))
        assert sorted(ranking.items) == sorted(items)
        self.rankings[ranking.request_id] = ranking
        events = list(_events_of(chunk, r, user, items, ranking.request_id))
        for _ in range(2 if number % _COPY_EVERY == 0 else 1):
            outcomes = self._until_answered(lambda: self._client.send(events))
            assert all(outcome.is_accepted for outcome in outcomes), outcomes
            self.accepted |= {event["event_id"]: event for event in events}
        if number % _PUT_EVERY == 0:
            age = {"age_days": float(number)}
            name, features = _item(self.world, int(chunk.item_RC[r, 0]))
            self._until_answered(lambda: self._client.put_items({name: features | age}))
            name, features = _user(self.world, int(chunk.user_R[r]))
            device = {"device": f"d{number % 7}"}
            self._until_answered(lambda: self._client.put_users({name: features | device}))

    def _until_answered(self, call: Callable[[], T]) -> T:
        while True:
            try:
                return call()
            except ClientError as error:
                if error.status not in (0, 503):
                    raise
            if self._leave.is_set():
                raise _LeftError
            time.sleep(0.02)


class _LeftError(Exception):
    """The crowd leaves while a call has no answer."""


def _requests(world: World) -> Iterator[tuple[int, tuple[WorldChunk, int]]]:
    chunks = world.chunks(1 << 40, size=20)
    return enumerate((chunk, r) for chunk in chunks for r in range(len(chunk.user_R)))


def _item(world: World, n: int) -> tuple[str, dict[str, Any]]:
    items = world.catalogue
    return f"i{n}", {
        "author_id": int(items.author_I[n]),
        "topic": int(items.topic_I[n]),
        "style": int(items.style_I[n]),
        "tags": items.tags_I[n].tolist(),
        "duration_s": float(items.duration_s_I[n]),
        "age_days": float(-items.born_day_I[n]),
    }


def _user(world: World, n: int) -> tuple[str, dict[str, Any]]:
    viewers = world.viewers
    return f"u{n}", {"segment": int(viewers.segment_U[n]), "device": int(viewers.device_U[n])}


def _events_of(
    chunk: WorldChunk, r: int, user: str, items: list[str], request_id: str
) -> Iterator[dict[str, Any]]:
    """Yield events of what a viewer did, in two halves as an app reports it, and answered."""
    about = {"user_id": user, "request_id": request_id}
    half = len(items) // 2
    for part, place in enumerate((slice(0, half), slice(half, None))):
        values = {name: getattr(chunk, f"{name}_RC")[r, place].tolist() for name in _BEHAVIORS}
        event_id = f"{request_id}b{part}"
        yield {"type": "behavior", "event_id": event_id, **about, "items": items[place], "values": values}
    for c in np.flatnonzero(chunk.asked_RC[r]).tolist():
        view = {**about, "item_id": items[c], "question": "satisfaction", "propensity": _PROPENSITY}
        yield {"type": "asked", "event_id": f"{request_id}q{c}", **view}
        if chunk.option_RC[r, c] >= 0:
            option = OPTIONS[chunk.option_RC[r, c]]
            yield {"type": "answered", "event_id": f"{request_id}a{c}", **view, "option": option}
