"""Which events of a batch the embedded log holds already. An id belongs to its viewer and to its content.

The index holds the plain id of the first event with it, as it always did. The same id of another viewer is a
name of its own beside it. So old files are read as they are, and only ids that are there twice cost a look at
what is stored.
"""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from easq.log.base import LogError
from easq.log.erasing import ErasedIds, own_name
from easq.log.events import Answered, Asked, Behavior, Dismissed, Event, Ignored, Request, decode

_IDS_PER_QUERY = 500

_STORED = "SELECT data FROM events WHERE place = ?"


class KnownId(NamedTuple):
    """The name of an event in the index, and its place; `place` is None for a new one.

    `is_taken` if the viewer has another event under this id.
    """

    name: str
    place: int | None
    is_taken: bool = False


class KnownIds:
    """The ids of one topic, for the events of one transaction.

    `used` are the plain ids that have or had an event. An event whose id is not among them is new.
    """

    def __init__(self, db: sqlite3.Connection, topic: int, ids: Iterable[str]) -> None:
        self._db, self._topic = db, topic
        wanted = list(dict.fromkeys(ids))
        self._places = _places(db, topic, wanted)
        self._erased = ErasedIds(db, topic, [i for i in wanted if i not in self._places])
        self.used = {*self._places, *self._erased.ids}
        self._added: dict[int, bytes] = {}

    def find(self, event: Event) -> KnownId:
        """Return where an event stands whose id is in `used`, or the name to store it under."""
        name = event.event_id
        place = self._places.get(name)
        if place is not None:
            stored = self._stored(place)
            if stored.user_id == event.user_id:
                return KnownId(name, place, not is_repeated(event, stored))
        return self._beside(event)

    def add(self, name: str, place: int, data: bytes) -> None:
        """Remember a new event of this transaction."""
        self.used.add(name)
        self._places[name] = place
        self._added[place] = data

    def _beside(self, event: Event) -> KnownId:
        """Return where an event stands that is not the first with its id, or whose first was erased."""
        name = own_name(event.event_id, event.user_id)
        place = self._places.get(name) or _places(self._db, self._topic, [name]).get(name)
        if place is not None:
            return KnownId(name, place, not is_repeated(event, self._stored(place)))
        place, is_own = self._erased.find(event)
        return KnownId(name, place, place is not None and not is_own)

    def _stored(self, place: int) -> Event:
        data = self._added.get(place) or self._db.execute(_STORED, (place,)).fetchone()[0]
        try:
            return decode(data)
        except ValueError as error:
            raise LogError(f"what the log holds under a known id is not an event: {error}") from error


def is_repeated(event: Event, stored: Event) -> bool:
    """Return whether an event says what is stored under its id.

    Its time does not count, as a sender who repeats a call without one gets another, nor does the weight of
    an answer, which was decided on arrival. Of a ranking, only its items count. What belongs to no viewer has
    one writer, who repeats it.
    """
    if not event.user_id:
        return True
    if (event.event_id, event.user_id) != (stored.event_id, stored.user_id):
        return False
    if isinstance(event, Request):
        return isinstance(stored, Request) and event.items == stored.items
    return not isinstance(event, _COMPARED) or _said(event) == _said(stored)


_COMPARED = Behavior | Asked | Answered | Dismissed | Ignored


def _said(event: Event) -> Event:
    if isinstance(event, Answered):
        return msgspec.structs.replace(event, ts=0, v=1, weight=1.0, flags=[])
    return msgspec.structs.replace(event, ts=0, v=1)


def _places(db: sqlite3.Connection, topic: int, names: list[str]) -> dict[str, int]:
    """Return the place of each name that the topic's index holds."""
    known: dict[str, int] = {}
    for start in range(0, len(names), _IDS_PER_QUERY):
        some = names[start : start + _IDS_PER_QUERY]
        sql = f"SELECT id, place FROM ids WHERE topic = ? AND id IN ({','.join('?' * len(some))})"
        known.update(db.execute(sql, (topic, *some)).fetchall())
    return known
