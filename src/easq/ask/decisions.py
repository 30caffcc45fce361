"""What was decided on each view, and what became of the asks."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, TypeVar

from easq.ask.policy import DAY_MS
from easq.ask.view import AskId
from easq.log.events import Answered, Asked, Dismissed, Ignored, Offered

_ASK_MEMORY_MS = 2 * DAY_MS  # every ask of today's quota is remembered

AskOutcome = Answered | Dismissed | Ignored

OutcomeT = TypeVar("OutcomeT", Answered, Dismissed, Ignored)


@dataclass
class Ask:
    """One ask and what became of it; `is_lapsed` if it was not shown while its quota was reserved."""

    offered: Offered
    is_shown: bool = False
    is_lapsed: bool = False
    outcome: AskOutcome | None = None

    @property
    def ids(self) -> AskId:
        """Return the ids of the events about this ask."""
        return AskId.of(self.offered.event_id)

    def shown_event(self, ts: int) -> Asked:
        """Return the event that the ask was shown at a time."""
        offered = self.offered
        return Asked(
            event_id=self.ids.ask,
            ts=ts,
            version=offered.version,
            locale=offered.locale,
            order=offered.order,
            policy=offered.policy,
            place=offered.place,
            **self._shared_fields(),
        )

    def outcome_event(self, kind: type[OutcomeT], ts: int, took_ms: int, **more: Any) -> OutcomeT:
        """Return the event of an outcome; an answer also needs its `option`."""
        ids = self.ids
        event_id = {Answered: ids.answer, Dismissed: ids.dismissal, Ignored: ids.ignoring}[kind]
        return kind(
            event_id=event_id, ts=ts, ask_id=ids.ask, took_ms=took_ms, **self._shared_fields(), **more
        )

    def _shared_fields(self) -> dict[str, Any]:
        offered = self.offered
        return {
            "user_id": offered.user_id,
            "request_id": offered.request_id,
            "item_id": offered.item_id,
            "question": offered.question,
            "propensity": offered.propensity * offered.share,
        }


class DecisionStatus(Enum):
    """Whether a view was decided on, and how."""

    UNDECIDED = "undecided"
    ASKED = "asked"
    CLOSED = "closed"


class ViewDecision(NamedTuple):
    """What was decided on a view; `gate` names the gate that closed it, empty unless it is CLOSED."""

    status: DecisionStatus
    gate: str = ""


UNDECIDED = ViewDecision(DecisionStatus.UNDECIDED)
ASKED = ViewDecision(DecisionStatus.ASKED)


def closed(gate: str) -> ViewDecision:
    """Return the decision of a view that a gate kept from being asked."""
    return ViewDecision(DecisionStatus.CLOSED, gate)


class Decisions:
    """Decisions by view and asks by id, each for as long as it matters.

    A decision counts when it is made. Its event comes back from the log later, and must not count twice.
    """

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._gates: dict[str, str] = {}  # by key of the view; empty if it was asked
        self._by_time: deque[tuple[int, str, str]] = deque()
        self._not_yet_read: OrderedDict[str, int] = OrderedDict()
        self._asks: dict[str, Ask] = {}
        self._asks_by_time: deque[tuple[int, str]] = deque()

    def of(self, key: str) -> ViewDecision:
        """Return what was decided on the view with a key."""
        gate = self._gates.get(key)
        if gate is None:
            return UNDECIDED
        return closed(gate) if gate else ASKED

    def ask(self, ask_id: str) -> Ask | None:
        """Return an ask by its id, while it is remembered."""
        return self._asks.get(ask_id)

    def record(self, offered: Offered) -> Ask | None:
        """Remember a decision; return its ask, None if a gate was closed."""
        ids = AskId.of(offered.event_id)
        self._gates[ids.key] = offered.gate
        self._by_time.append((offered.ts, ids.key, offered.gate))
        return None if offered.gate else self._remember(Ask(offered))

    def expect(self, key: str, now_ms: int) -> None:
        """Expect the event of a decision made now to be read from the log."""
        self._not_yet_read[key] = now_ms

    def is_known(self, key: str) -> bool:
        """Return whether the decision of an event just read has been counted; it is expected no longer."""
        # The event may arrive after the decision itself was forgotten. It counted when it was made.
        return self._not_yet_read.pop(key, None) is not None or key in self._gates

    def forget(self, now_ms: int) -> None:
        """Forget decisions whose window has passed, and asks and expected events of two days ago."""
        while self._by_time and self._by_time[0][0] + self._window_ms < now_ms:
            del self._gates[self._by_time.popleft()[1]]
        while self._not_yet_read and next(iter(self._not_yet_read.values())) + _ASK_MEMORY_MS < now_ms:
            self._not_yet_read.popitem(last=False)  # it never reached the log
        while self._asks_by_time and self._asks_by_time[0][0] + _ASK_MEMORY_MS < now_ms:
            del self._asks[self._asks_by_time.popleft()[1]]

    def decided(self) -> list[tuple[int, str, str]]:
        """Return time, key and closed gate of every remembered decision, the oldest first."""
        return list(self._by_time)

    def asks(self) -> list[tuple[Offered, bool, bool, AskOutcome | None]]:
        """Return the fields of every remembered ask, the oldest first."""
        return [(a.offered, a.is_shown, a.is_lapsed, a.outcome) for a in self._asks.values()]

    def restore(
        self,
        decided: Iterable[tuple[int, str, str]],
        asks: Iterable[tuple[Offered, bool, bool, AskOutcome | None]],
    ) -> None:
        """Remember what `decided` and `asks` returned."""
        for ts, key, gate in decided:
            self._by_time.append((ts, key, gate))
            self._gates[key] = gate
        for fields in asks:
            self._remember(Ask(*fields))

    def _remember(self, ask: Ask) -> Ask:
        ask_id = ask.ids.ask
        self._asks[ask_id] = ask
        self._asks_by_time.append((ask.offered.ts, ask_id))
        return ask
