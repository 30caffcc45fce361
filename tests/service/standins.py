"""Stand-ins."""

from collections.abc import Sequence

import numpy as np

from easq.errors import InputError
from easq.events import EVENTS, Event, ItemTold, Request, ViewerTold, new_id, stable_id
from easq.service.ranking import Query, Ranked


class TinyEngine:
    def __init__(self) -> None:
        self.ready = True

    def rank(self, query: Query, now_ms: int) -> Ranked:
        if len(set(query.candidates)) != len(query.candidates):
            raise InputError("candidates: one stands there twice; allowed: each once")
        scores = np.array([stable_id(c) % 1000 / 1000 for c in query.candidates], np.float32)
        order = np.argsort(-scores, kind="stable")[: query.limit]
        items = [query.candidates[n] for n in order]
        event = Request(
            event_id=new_id(), user_id=query.user_id, ts=now_ms, items=items, viewer={}, candidates={}
        )
        return Ranked(event, items, scores[order], "v1", "")


class TinyProfiles:
    def __init__(self, n: int) -> None:
        self.n = n
        self.offsets = [0] * (2 * n)
        self.items, self.viewers = {}, {}

    def apply(self, topic: str, partition: int, events: Sequence[Event]) -> None:
        self.offsets[partition + (0 if topic == EVENTS else self.n)] += len(events)
        for e in events:
            if isinstance(e, ItemTold):
                self.items[e.item_id] = e.values
            elif isinstance(e, ViewerTold):
                self.viewers[e.user_id] = e.values

    def knows(self, told) -> bool:
        if isinstance(told, ItemTold):
            return self.items.get(told.item_id) == told.values
        return self.viewers.get(told.user_id) == told.values
