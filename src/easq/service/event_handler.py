"""Events told by the platform: each is checked alone and said to the log in the log's own words."""

from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from easq.errors import InputError
from easq.log.events import Answered, Asked, Behavior, Reply
from easq.log.packing import pack_floats
from easq.recipe.recipe import Recipe
from easq.service.counters import ServiceCounters
from easq.service.http.messages import (
    JSON,
    MSGPACK,
    AnsweredBody,
    BehaviorBody,
    EventSaid,
    Format,
    Result,
    check_ids,
    named,
)
from easq.service.values import LARGEST

_MINUTE_MS = 60_000


class _Refused(InputError):
    """An event is refused; `kind` is the reason as it is counted."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class EventHandler:
    """Checks events against what a platform declared and against the server's clock."""

    def __init__(self, recipe: Recipe, metrics: ServiceCounters) -> None:
        self._behaviors = frozenset(b.name for b in recipe.behaviors)
        self._question, self._max_items = recipe.question, recipe.service.max_candidates
        self._skew_ms = round(recipe.service.clock_skew_seconds * 1000)
        self._age_ms = round((recipe.join.answer_window + recipe.join.lateness) * _MINUTE_MS)
        self._metrics = metrics
        self._readers = {form.media_type: form.reader(EventSaid) for form in (JSON, MSGPACK)}

    def check(self, entries: Sequence[Raw], form: Format, now_ms: int) -> tuple[list[Result], list[Reply]]:
        """Return what becomes of each entry, and the events to be logged."""
        results: list[Result] = []
        events: list[Reply] = []
        reader = self._readers[form.media_type]
        for entry in entries:
            try:
                event = self._event(reader.read(entry), now_ms)
            except InputError as error:
                self._metrics.refused.labels(getattr(error, "kind", "malformed")).inc()
                given = named(entry, form, "event_id")
                results.append(Result(status="refused", reason=str(error), event_id=given))
            else:
                events.append(event)
                results.append(Result(status="accepted", event_id=event.event_id))
        return results, events

    def _event(self, said: EventSaid, now_ms: int) -> Reply:
        for field in ("event_id", "user_id", "request_id"):
            check_ids(field, getattr(said, field))
        # Requests and events share one space of ids: it would pass for a copy of its request.
        if said.event_id == said.request_id:
            raise _Refused(
                "id", f"event_id: got {said.event_id!r}, which is its request_id; allowed: one of its own"
            )
        ts = now_ms if said.ts is None else said.ts
        self._check_time(ts, now_ms)
        if isinstance(said, BehaviorBody):
            return self._behavior(said, ts)
        check_ids("item_id", said.item_id)
        if said.question != self._question.name:
            raise _Refused("question", f"question: got {said.question!r}; allowed: {self._question.name}")
        ask: dict[str, Any] = {
            "event_id": said.event_id,
            "user_id": said.user_id,
            "ts": ts,
            "request_id": said.request_id,
            "item_id": said.item_id,
            "question": said.question,
            "propensity": said.propensity,
        }
        if not isinstance(said, AnsweredBody):
            return Asked(**ask)
        if said.option not in self._question.options:
            allowed = ", ".join(self._question.options)
            raise _Refused("option", f"option: got {said.option!r}; allowed: {allowed}")
        return Answered(**ask, option=said.option)

    def _check_time(self, ts: int, now_ms: int) -> None:
        if ts > now_ms + self._skew_ms:
            raise _Refused(
                "future",
                f"ts: got {ts}, {(ts - now_ms) / 1000:g} s in the future by the server's clock; allowed: "
                f"{self._skew_ms / 1000:g} s (service.clock_skew_seconds)",
            )
        if ts < now_ms - self._age_ms:
            raise _Refused(
                "too_old",
                f"ts: got {ts}, {(now_ms - ts) / _MINUTE_MS:.0f} minutes ago; allowed: "
                f"{self._age_ms / _MINUTE_MS:g} minutes (join.answer_window and join.lateness)",
            )

    def _behavior(self, said: BehaviorBody, ts: int) -> Behavior:
        size = len(said.items)
        if size > self._max_items:
            raise _Refused(
                "too_large", f"items: got {size}; allowed: {self._max_items} (service.max_candidates)"
            )
        if len(set(said.items)) != size:
            raise _Refused("items", "items: an item stands there twice; allowed: each once")
        check_ids("items", said.items)
        for name, numbers in said.values.items():
            if name not in self._behaviors:
                allowed = ", ".join(sorted(self._behaviors))
                raise _Refused("behavior", f"values: unknown behaviour {name[:60]!r}; allowed: {allowed}")
            if len(numbers) != size:
                raise _Refused(
                    "size", f"values.{name}: got {len(numbers)} numbers for {size} items; allowed: {size}"
                )
            if not all(abs(x) <= LARGEST for x in numbers):
                raise _Refused("number", f"values.{name}: allowed are finite numbers of 32 bits")
        columns = {name: pack_floats(numbers) for name, numbers in said.values.items()}
        return Behavior(
            event_id=said.event_id,
            user_id=said.user_id,
            request_id=said.request_id,
            ts=ts,
            items=said.items,
            values=columns,
        )
