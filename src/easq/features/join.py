"""Join requests, behaviors and answers into examples, in event time.

A request waits for its behaviors until its window has passed in the partition's own event time. Then it
becomes a `Viewed` example. An answer becomes an `AnsweredView` at once, with the features of its own
request. Nothing here reads a clock: the examples of a partition are a function of its events.

Answers are few and may come an hour later. So once the behaviors of a request are joined, only its offset
is kept. For a rare later answer, the request is read from the log again.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec
import numpy as np

from easq.features.examples import AnsweredView, Counts, Example, Late, Viewed
from easq.log.event_time import EventTime
from easq.log.events import (
    Answered,
    Asked,
    Behavior,
    Dismissed,
    Erased,
    Event,
    Ignored,
    Offered,
    Reply,
    Request,
)
from easq.log.packing import FLOAT
from easq.recipe.recipe import Recipe

_Name = tuple[str, str]  # viewer and id


class _Open(msgspec.Struct, gc=False):
    """A request that may still be answered. `request` is None once it can be read again at `offset`."""

    request: Request | None
    key: str
    user_id: str
    ts: int
    offset: int
    seen: set[str]
    reports: list[tuple[list[int], Behavior]] = []
    answers: list[tuple[int, int]] = []
    weights: list[tuple[int, float]] = []
    viewed: bool = False
    elsewhere: bool = False


class _State(msgspec.Struct, omit_defaults=True):
    newest: int
    counts: Counts
    open: list[_Open]
    waiting: list[list[Reply]]
    ahead: tuple[int, int] = (0, 0)


_state_decoder = msgspec.msgpack.Decoder(_State)
# Sets have no order of their own, but equal states must give equal bytes.
_state_encoder = msgspec.msgpack.Encoder(order="deterministic")


Reread = Callable[[int], Event | None]
"""Return the event at an offset of the partition, None if it was removed from the log."""

Takes = Callable[[Request], bool]
"""Return whether a request is learned here."""


class Joiner:
    """Joins one partition. Windows and lateness are milliseconds of event time.

    An event is late if its own time is after the request's window, or if the partition was already
    `lateness` past the window. Late events, and those whose request never came, are counted and returned by
    `take_late`. A copy (same viewer and `event_id`) is dropped and counted. Without `reread`, whole requests
    are kept until their answers are late. Requests for which `takes` returns False are counted.
    """

    def __init__(
        self,
        question: str,
        options: Sequence[str],
        behavior_window: int,
        answer_window: int,
        lateness: int,
        reread: Reread | None = None,
        takes: Takes = lambda _: True,
    ) -> None:
        if not 0 < behavior_window <= answer_window:
            raise ValueError(
                f"windows must be positive, the answers' the longer; got {behavior_window}, {answer_window}"
            )
        self._question = question
        self._options = {option: number for number, option in enumerate(options)}
        self._behavior_window, self._answer_window, self._lateness = behavior_window, answer_window, lateness
        self._reread, self._takes = reread, takes
        self._time, self._newest = EventTime(), 0
        self._open: dict[str, _Open] = {}
        self._places: dict[str, dict[str, int]] = {}
        self._waiting: dict[str, dict[_Name, Reply]] = {}
        self._due: list[tuple[int, str]] = []
        self._late: list[Late] = []
        self.counts = Counts()

    def push(self, event: Event, offset: int = 0) -> list[Example]:
        """Add the partition's next event, at `offset`, and return the examples that it completes."""
        examples: list[Example] = []
        self._newest = self._time.move(event.ts)
        if isinstance(event, Request):
            self._open_request(event, offset, examples)
        elif isinstance(event, Offered):
            self.counts.offered += 1
        elif isinstance(event, Erased):
            self.counts.erased += 1
        elif not isinstance(event, Reply):
            self._keep_apart("it is not of this topic", event)
        else:
            opened = self._open.get(event.request_id)
            if opened is not None:
                self._add(opened, event, examples)
            elif self._passed(event.ts + self._answer_window):
                self._keep_apart("late", event)
            else:
                self._wait(event)
        if self._due and self._passed(self._due[0][0]):
            self._close(self._newest - self._lateness, examples)
        return examples

    def flush(self) -> list[Example]:
        """Close every window, as at the end of a bounded log."""
        examples: list[Example] = []
        self._close(None, examples)
        return examples

    def take_late(self) -> list[Late]:
        """Return the events kept apart since the last call."""
        late, self._late = self._late, []
        return late

    def forget(self, users: Collection[str]) -> None:
        """Drop the open requests and the waiting events of viewers."""
        self._open = {k: o for k, o in self._open.items() if o.user_id not in users}
        self._places.clear()
        waiting = {
            key: {i: e for i, e in events.items() if e.user_id not in users}
            for key, events in self._waiting.items()
        }
        self._waiting = {key: events for key, events in waiting.items() if events}
        self._late.clear()

    def set_back(self, latest_ms: int) -> None:
        """Take for `latest_ms` every later time: the partition's, open requests', waiting events'."""
        self._newest = min(self._newest, latest_ms)
        self._time = EventTime(self._newest)
        for opened in self._open.values():
            opened.ts = min(opened.ts, latest_ms)
        for events in self._waiting.values():
            for key, event in events.items():
                events[key] = msgspec.structs.replace(event, ts=min(event.ts, latest_ms))
        self._fill_due()

    def state(self) -> bytes:
        """Return everything that later results depend on. Call `take_late` first."""
        waiting = [list(events.values()) for events in self._waiting.values()]
        newest, *ahead = self._time.state()
        state = _State(newest, self.counts, list(self._open.values()), waiting, (ahead[0], ahead[1]))
        return _state_encoder.encode(state)

    def restore(self, data: bytes) -> None:
        """Continue from what `state` returned."""
        state = _state_decoder.decode(data)
        self._time, self._newest = EventTime(state.newest, *state.ahead), state.newest
        self.counts = state.counts
        self._open = {opened.key: opened for opened in state.open}
        self._waiting = {events[0].request_id: {_name(e): e for e in events} for events in state.waiting}
        self._fill_due()

    def _fill_due(self) -> None:
        self._due = [(self._due_at(opened), key) for key, opened in self._open.items()]
        self._due += [
            (e.ts + self._answer_window, key)
            for key, events in self._waiting.items()
            for e in events.values()
        ]
        heapq.heapify(self._due)

    def _passed(self, ts: int) -> bool:
        return self._newest - self._lateness > ts

    def _due_at(self, opened: _Open) -> int:
        return opened.ts + (self._answer_window if opened.viewed else self._behavior_window)

    def _keep_apart(self, reason: str, event: Event) -> None:
        counts = self.counts
        if reason == "late":
            counts.late += 1
        elif reason == "orphan":
            counts.orphans += 1
        else:
            counts.refused += 1
        self._late.append(Late(reason, event))

    def _wait(self, event: Reply) -> None:
        """Keep an event that arrived before its request."""
        waiting = self._waiting.setdefault(event.request_id, {})
        if _name(event) in waiting:
            self.counts.duplicates += 1
            return
        waiting[_name(event)] = event
        heapq.heappush(self._due, (event.ts + self._answer_window, event.request_id))

    def _open_request(self, request: Request, offset: int, examples: list[Example]) -> None:
        key = request.event_id
        if key in self._open:
            self.counts.duplicates += 1
        elif self._passed(request.ts + self._behavior_window):
            self._keep_apart("late", request)
        elif not request.items or len(set(request.items)) != len(request.items):
            self._keep_apart("a request needs candidates, each named once", request)
        else:
            opened = _Open(request, key, request.user_id, request.ts, offset, set())
            if self._takes(request):
                self.counts.requests += 1
            else:
                self.counts.elsewhere += 1
                opened.request, opened.viewed, opened.elsewhere = None, True, True
            self._open[key] = opened
            heapq.heappush(self._due, (self._due_at(opened), key))
            for event in self._waiting.pop(key, {}).values():
                self._add(opened, event, examples)

    def _add(self, opened: _Open, event: Reply, examples: list[Example]) -> None:
        # An id belongs to its viewer: another's event must not hide one that was sent with the same id.
        if event.user_id != opened.user_id and not opened.elsewhere:
            self._keep_apart("its request is of another viewer", event)
            return
        if event.event_id in opened.seen:
            self.counts.duplicates += 1
            return
        opened.seen.add(event.event_id)
        if opened.elsewhere:
            self.counts.elsewhere += 1
            return
        window = self._behavior_window if isinstance(event, Behavior) else self._answer_window
        if event.ts > opened.ts + window or (isinstance(event, Behavior) and opened.viewed):
            self._keep_apart("late", event)
            return
        request = self._request(opened)
        if request is None:
            self._keep_apart("orphan", event)
        elif isinstance(event, Behavior):
            self._add_behavior(opened, request, event)
        else:
            self._add_answer(opened, request, event, examples)

    def _request(self, opened: _Open) -> Request | None:
        if opened.request is not None:
            return opened.request
        event = self._reread(opened.offset) if self._reread else None
        # After an erasure there is a tombstone.
        return event if isinstance(event, Request) and event.event_id == opened.key else None

    def _add_behavior(self, opened: _Open, request: Request, event: Behavior) -> None:
        size = FLOAT.itemsize * len(event.items)
        for name, column in event.values.items():
            if len(column) != size:
                self._keep_apart(f"{name} holds {len(column)} bytes for {len(event.items)} items", event)
                return
        places = self._places.get(opened.key)
        if places is None:
            places = self._places[opened.key] = {item: n for n, item in enumerate(request.items)}
        known = [n for n, item in enumerate(event.items) if item in places]
        if event.items and not known:
            self._keep_apart(f"item {event.items[0]!r} is not in the request", event)
            return
        if len(known) < len(event.items):
            # A long list is logged in part. Behavior on the rest of it teaches nothing.
            self.counts.unlogged_items += len(event.items) - len(known)
            event = _select(event, known)
        positions = [places[item] for item in event.items]
        self.counts.behaviors += 1
        opened.reports.append((positions, event))

    def _add_answer(
        self,
        opened: _Open,
        request: Request,
        event: Asked | Answered | Dismissed | Ignored,
        examples: list[Example],
    ) -> None:
        if event.item_id not in request.returned:
            why = "was ranked and not returned" if event.item_id in request.items else "is not in the request"
            self._keep_apart(f"item {event.item_id!r} {why}", event)
        elif event.question != self._question:
            if event.policy if isinstance(event, Asked) else event.ask_id:
                self.counts.other_questions += 1
            else:
                self._keep_apart(f"question {event.question!r} is not {self._question!r}", event)
        elif isinstance(event, Asked):
            self.counts.asked += 1
        elif isinstance(event, Dismissed):
            self.counts.dismissed += 1
        elif isinstance(event, Ignored):
            self.counts.ignored += 1
        else:
            option, position = self._options.get(event.option), request.items.index(event.item_id)
            if option is None:
                self._keep_apart(f"option {event.option!r} is not one of {list(self._options)}", event)
            elif any(position == answered for answered, _ in opened.answers):
                self._keep_apart("the view was answered before", event)
            else:
                self.counts.answers += 1
                opened.answers.append((position, option))
                if event.weight != 1:
                    opened.weights.append((position, event.weight))
                examples.append(
                    AnsweredView(request, position, option, event.propensity, opened.viewed, event.weight)
                )

    def _close(self, until: int | None, examples: list[Example]) -> None:
        due = self._due
        while due and (until is None or due[0][0] < until):
            ts, key = heapq.heappop(due)
            opened = self._open.get(key)
            if opened is None:
                for event in self._waiting.pop(key, {}).values():
                    self._keep_apart("orphan", event)
            elif self._due_at(opened) > ts:
                pass  # due for an event that waited for this request, which has its own time
            elif opened.viewed:
                del self._open[key]
            else:
                assert opened.request is not None, "a request is dropped only here"
                view = Viewed(opened.request, opened.reports, list(opened.answers), list(opened.weights))
                examples.append(view)
                opened.viewed, opened.reports = True, []
                self._places.pop(key, None)
                if self._reread:
                    opened.request = None
                heapq.heappush(due, (self._due_at(opened), key))


def _name(event: Event) -> _Name:
    return event.user_id, event.event_id


def _select(event: Behavior, places: list[int]) -> Behavior:
    """Return the report with the items at some places."""
    values = {name: np.frombuffer(c, FLOAT)[places].tobytes() for name, c in event.values.items()}
    return msgspec.structs.replace(event, items=[event.items[n] for n in places], values=values)


def flush_all(joiners: Iterable[Joiner]) -> list[Example]:
    """Close the windows of all partitions at the end of a bounded log, in partition order."""
    return [example for joiner in joiners for example in joiner.flush()]


_MINUTE_MS = 60_000


def build_joiner(recipe: Recipe, reread: Reread | None = None, takes: Takes = lambda _: True) -> Joiner:
    """Return the joiner of one partition. It drops requests that it can `reread`."""
    join = recipe.join
    return Joiner(
        recipe.question.name,
        recipe.question.options,
        round(join.behavior_window * _MINUTE_MS),
        round(join.answer_window * _MINUTE_MS),
        round(join.lateness * _MINUTE_MS),
        reread,
        takes,
    )
