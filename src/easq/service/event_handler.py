"""POST /v1/events: check each event of a platform on its own and convert it to an event of the log."""

from collections.abc import Sequence

from msgspec import Raw

from easq.ask.state import Asks
from easq.ask.view import AskId
from easq.errors import InputError, cut
from easq.home.clock import NowMs
from easq.log.base import Position
from easq.log.events import EVENTS, Answered, Asked, Behavior, Reply
from easq.log.packing import LARGEST_VALUE, pack_floats
from easq.recipe.recipe import Recipe
from easq.service.counters import ServiceCounters
from easq.service.http.error_replies import too_large
from easq.service.http.formats import Formats
from easq.service.http.messages import (
    JSON,
    MSGPACK,
    AnsweredBody,
    AskedBody,
    BatchReply,
    BehaviorBody,
    EventBody,
    EventsCall,
    Format,
    Result,
    batch_reply,
    check_ids,
    check_names,
    entry_id,
)
from easq.service.log_writer import LogWriter

_MINUTE_MS = 60_000


class _EventError(InputError):
    """An event is refused; `kind` is the reason as it is counted."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class EventHandler:
    """Checks events against what the recipe declares and against the service's clock, and logs them."""

    def __init__(
        self, recipe: Recipe, asks: Asks, writer: LogWriter, metrics: ServiceCounters, now_ms: NowMs
    ) -> None:
        self._behaviors = frozenset(b.name for b in recipe.behaviors)
        self._watch = recipe.metrics.watch
        self._question, self._max_items = recipe.question, recipe.service.max_candidates
        self._max_events = recipe.service.max_events
        self._skew_ms = round(recipe.service.clock_skew_seconds * 1000)
        self._age_ms = round((recipe.join.answer_window + recipe.join.lateness) * _MINUTE_MS)
        self._asks, self._writer, self._metrics, self._now_ms = asks, writer, metrics, now_ms
        self._readers = {form: form.reader(EventBody) for form in (JSON, MSGPACK)}

    async def take(self, call: EventsCall, formats: Formats) -> BatchReply:
        """Log the events of a call; raise Refusal."""
        entries = call.events
        if len(entries) > self._max_events:
            allowed = f"{self._max_events} (service.max_events)"
            raise too_large(f"events: got {len(entries)}; allowed in one call: {allowed}")
        results, events = self._check(entries, formats.body, self._now_ms())
        positions = iter(await self._append(list(filter(None, events))))
        for number, event in enumerate(events):
            if event is None:
                continue
            if next(positions) is None:
                results[number] = self._taken(event)
            else:
                self._metrics.accepted.labels(type(event).__name__.lower()).inc()
        return batch_reply(results)

    async def _append(self, events: list[Reply]) -> list[Position | None]:
        """Log events, answers with what they weigh; return what `append_each` of the log returns."""
        weighed = [self._asks.weigh(event) if isinstance(event, Answered) else event for event in events]
        positions: list[Position | None] = [None] * len(events)
        try:
            positions = await self._writer.append_each(EVENTS, weighed)
        finally:
            for event, position in zip(weighed, positions, strict=True):
                if isinstance(event, Answered):
                    self._asks.settle(event, position)
        return positions

    def _taken(self, event: Reply) -> Result:
        """Return the result of an event that is another under an id of its viewer."""
        self._metrics.refused.labels("id_taken").inc()
        reason = (
            f"event_id: got {event.event_id!r}, under which the log holds another event of viewer "
            f"{cut(event.user_id)!r}; allowed: one of its own, or the same event again"
        )
        return Result(status="refused", reason=reason, event_id=event.event_id)

    def _check(
        self, entries: Sequence[Raw], body_format: Format, now_ms: int
    ) -> tuple[list[Result], list[Reply | None]]:
        """Return per entry a result and the event to be logged, None if it is refused."""
        results: list[Result] = []
        events: list[Reply | None] = []
        reader = self._readers[body_format]
        for entry in entries:
            try:
                event = self._event(reader.read(entry), now_ms)
            except InputError as error:
                self._metrics.refused.labels(getattr(error, "kind", "malformed")).inc()
                bad_id = entry_id(entry, body_format, "event_id")
                results.append(Result(status="refused", reason=str(error), event_id=bad_id))
                events.append(None)
            else:
                events.append(event)
                results.append(Result(status="accepted", event_id=event.event_id))
        return results, events

    def _event(self, body: EventBody, now_ms: int) -> Reply:
        check_ids("event_id", body.event_id)
        check_ids("request_id", body.request_id)
        check_names("user_id", body.user_id)
        if AskId.is_one(body.event_id):
            raise _EventError(
                "id", f"event_id: got {body.event_id!r}, a name of the service's own asks; allowed: any other"
            )
        # Requests and events of a viewer share one space of ids.
        if body.event_id == body.request_id:
            raise _EventError(
                "id", f"event_id: got {body.event_id!r}, which is its request_id; allowed: one of its own"
            )
        ts = now_ms if body.ts is None else body.ts
        self._check_time(ts, now_ms)
        return self._behavior(body, ts) if isinstance(body, BehaviorBody) else self._ask(body, ts)

    def _check_time(self, ts: int, now_ms: int) -> None:
        if ts > now_ms + self._skew_ms:
            raise _EventError(
                "future",
                f"ts: got {ts}, {(ts - now_ms) / 1000:g} s in the future by the server's clock; allowed: "
                f"{self._skew_ms / 1000:g} s (service.clock_skew_seconds)",
            )
        if ts < now_ms - self._age_ms:
            raise _EventError(
                "too_old",
                f"ts: got {ts}, {(now_ms - ts) / _MINUTE_MS:.0f} minutes ago; allowed: "
                f"{self._age_ms / _MINUTE_MS:g} minutes (join.answer_window and join.lateness)",
            )

    def _ask(self, body: AskedBody | AnsweredBody, ts: int) -> Asked | Answered:
        check_names("item_id", body.item_id)
        if body.question != self._question.name:
            raise _EventError("question", f"question: got {body.question!r}; allowed: {self._question.name}")
        if why := self._asks.served.contradiction(body.user_id, body.request_id, body.item_id):
            allowed = "a view of this viewer's ranking"
            raise _EventError("view", f"item_id: got {body.item_id!r}, but {why}; allowed: {allowed}")
        if isinstance(body, AskedBody):
            return Asked(
                event_id=body.event_id,
                user_id=body.user_id,
                ts=ts,
                request_id=body.request_id,
                item_id=body.item_id,
                question=body.question,
                propensity=body.propensity,
            )
        if body.option not in self._question.options:
            allowed = ", ".join(self._question.options)
            raise _EventError("option", f"option: got {body.option!r}; allowed: {allowed}")
        return Answered(
            event_id=body.event_id,
            user_id=body.user_id,
            ts=ts,
            request_id=body.request_id,
            item_id=body.item_id,
            question=body.question,
            propensity=body.propensity,
            option=body.option,
        )

    def _behavior(self, body: BehaviorBody, ts: int) -> Behavior:
        size = len(body.items)
        if size > self._max_items:
            raise _EventError(
                "too_large", f"items: got {size}; allowed: {self._max_items} (service.max_candidates)"
            )
        if len(set(body.items)) != size:
            raise _EventError("items", "items: an item is in it twice; allowed: each once")
        check_names("items", body.items)
        for name, numbers in body.values.items():
            if name not in self._behaviors:
                allowed = ", ".join(sorted(self._behaviors))
                raise _EventError("behavior", f"values: unknown behavior {name[:60]!r}; allowed: {allowed}")
            if len(numbers) != size:
                raise _EventError(
                    "size", f"values.{name}: got {len(numbers)} numbers for {size} items; allowed: {size}"
                )
            if not all(abs(x) <= LARGEST_VALUE for x in numbers):
                allowed = f"finite numbers from -{LARGEST_VALUE:g} to {LARGEST_VALUE:g}"
                raise _EventError("number", f"values.{name}: allowed are {allowed}")
            # No view can have lasted longer than an event about it may come late.
            wrong = next((x for x in numbers if not 0 <= x <= self._age_ms), None)
            if name == self._watch and wrong is not None:
                raise _EventError(
                    "play_time",
                    f"values.{name}: got {wrong:g} ms; allowed: 0 to {self._age_ms}, the time that a "
                    "ranking's events may take (join.answer_window and join.lateness)",
                )
        columns = {name: pack_floats(numbers) for name, numbers in body.values.items()}
        return Behavior(
            event_id=body.event_id,
            user_id=body.user_id,
            request_id=body.request_id,
            ts=ts,
            items=body.items,
            values=columns,
        )
