"""POST /v1/questionnaire/*: offers, and what became of the asks. Every reply is about what is on the log.

An offer that asks nothing is answered before its event is durable: a crash then loses only a draw that
changed nothing for the viewer.
"""

from typing import Generic, TypeVar

from easq.ask.decisions import Ask, AskOutcome, DecisionStatus
from easq.ask.offer import OfferReply, OptionReply, QuestionReply
from easq.ask.state import Asks
from easq.ask.token import Ticket, TokenError, Tokens
from easq.ask.view import View
from easq.errors import InputError
from easq.home.clock import NowMs
from easq.log.events import EVENTS, Answered, Asked, Dismissed, Ignored
from easq.recipe.questionnaire import AskSettings
from easq.service.counters import ServiceCounters
from easq.service.http.ask_messages import AnswerCall, AskCall, AskReply, OfferCall
from easq.service.http.error_replies import Refusal, unavailable
from easq.service.http.formats import Formats
from easq.service.http.messages import check_ids, check_names
from easq.service.log_follower import LogFollower
from easq.service.log_writer import LogWriter

_BOUND = ("user_id", "request_id", "item_id", "question", "version")
_STATUS = {"forged": 403, "mismatched": 403, "expired": 410, "used": 409}


EventT = TypeVar("EventT", Asked, AskOutcome)


class Questionnaire:
    """Takes the calls of one service about asks. Its methods raise Refusal or InputError."""

    def __init__(
        self,
        asks: Asks,
        tokens: Tokens,
        settings: AskSettings,
        writer: LogWriter,
        follower: LogFollower,
        metrics: ServiceCounters,
        now_ms: NowMs,
    ) -> None:
        self._now_ms = now_ms
        self._asks, self._tokens = asks, tokens
        self._showing: _Writing[Asked] = _Writing()
        self._concluding: _Writing[AskOutcome] = _Writing()
        self._writer, self._follower, self._metrics = writer, follower, metrics
        self._token_ms = round(settings.token_minutes * 60_000)
        self._fade_ms = round(settings.fade_seconds * 1000)

    async def offer(self, call: OfferCall, _: Formats) -> OfferReply:
        """Decide whether to ask about a view."""
        _check_ids(call)
        view = View(call.user_id, call.request_id, call.item_id, call.play_ms, call.ratio, call.session_id)
        now_ms = self._now_ms()
        self._check_ready()
        gate, _why = self._asks.why_not(view, now_ms)
        if not gate:
            gate = await self._decide(view, now_ms, call.locale)
        self._metrics.offers.labels(gate or "none").inc()
        ask = None if gate else self._asks.ask_of(view)
        return self._refused_offer(gate) if ask is None else self._open_offer(ask)

    async def shown(self, call: AskCall, _: Formats) -> AskReply:
        """Log that an ask was really shown."""
        ask = self._ask(call)
        event, is_first = self._showing.begin(ask.ids.ask, ask.shown_event(self._now_ms()))
        status = "accepted" if is_first and not ask.is_shown else "counted before"

        def settled(is_written: bool) -> None:
            self._showing.end(ask.ids.ask)
            if is_written:
                self._asks.show(ask)

        await self._writer.append(EVENTS, [event], settled)
        self._count("asked", status)
        return AskReply(status)

    async def answer(self, call: AnswerCall, _: Formats) -> AskReply:
        """Log the option that a viewer chose, with the weight that it counts for."""
        ask = self._ask(call)
        if call.option not in ask.offered.order:
            allowed = ", ".join(ask.offered.order)
            raise InputError(f"option: got {call.option!r}; allowed: {allowed}")
        answer = ask.outcome_event(Answered, self._now_ms(), call.took_ms, option=call.option)
        if ask.outcome is not None:
            return await self._conclude(ask, answer, "answered")
        return await self._conclude(ask, self._asks.weigh(answer), "answered")

    async def dismiss(self, call: AskCall, _: Formats) -> AskReply:
        """Log that a viewer closed the question."""
        ask = self._ask(call)
        dismissed = ask.outcome_event(Dismissed, self._now_ms(), call.took_ms)
        return await self._conclude(ask, dismissed, "dismissed")

    async def ignored(self, call: AskCall, _: Formats) -> AskReply:
        """Log that a question went away by itself."""
        ask = self._ask(call)
        ignored = ask.outcome_event(Ignored, self._now_ms(), call.took_ms)
        return await self._conclude(ask, ignored, "ignored")

    async def _decide(self, view: View, now_ms: int, locale: str) -> str:
        """Return the closed gate of a view; empty if it is asked, and then the offer is on the log."""
        decision = self._asks.decided(view)
        if decision.status is DecisionStatus.CLOSED:
            return decision.gate
        if decision.status is DecisionStatus.UNDECIDED:
            offered = self._asks.decide(view, now_ms, locale)
            if offered.gate:
                self._writer.post(EVENTS, [offered])
                return offered.gate
        ask = self._asks.ask_of(view)
        if ask is None or ask.is_shown or ask.outcome or self._has_lapsed(ask, now_ms):
            return "view"
        offered = ask.offered
        if self._asks.questions.wording(offered.question, offered.version, offered.locale) is None:
            return "view"  # the question was reworded between the offer and its repetition
        await self._writer.append(EVENTS, [offered])
        return ""

    def _ask(self, call: AskCall) -> Ask:
        """Return the ask that a call's token is for; raise Refusal if the call cannot be taken."""
        _check_ids(call)
        self._check_ready()
        now_ms = self._now_ms()
        try:
            ticket = self._tokens.read(call.token, now_ms)
        except TokenError as error:
            raise self._refusal(error.code, str(error)) from None
        for name in _BOUND:
            value, bound = getattr(call, name), getattr(ticket, name)
            if value not in (None, bound):
                raise self._refusal("mismatched", f"{name}: got {value!r}; the token is for {bound!r}")
        ask = self._asks.ask(ticket.ask_id)
        if ask is None:
            raise self._refusal("mismatched", "token: its ask is not on the log of this service")
        if not ask.is_shown and self._has_lapsed(ask, now_ms):
            message = "token: the ask was not shown in time (ask.reserve_seconds)"
            raise self._refusal("expired", message)
        return ask

    def _has_lapsed(self, ask: Ask, now_ms: int) -> bool:
        self._asks.expire(now_ms)
        return ask.is_lapsed

    async def _conclude(self, ask: Ask, outcome: AskOutcome, name: str) -> AskReply:
        """Log what became of an ask, with the ask itself in case its own report was lost.

        It counts once it is on the log and not before: what could not be written leaves no trace.
        """
        before = ask.outcome
        if before is not None and not _is_same(before, outcome):
            raise self._refusal("used", f"token: the ask was {_describe(before)} already; it counts once")
        try:
            first, is_first = self._concluding.begin(ask.ids.ask, before or outcome)
        except Refusal:
            self._take_back(outcome)
            raise
        status = "accepted" if is_first and before is None else "counted before"

        def settled(is_written: bool) -> None:
            self._concluding.end(ask.ids.ask)
            if is_written:
                self._asks.conclude(ask, first)
            if first is not outcome or not is_written:
                self._take_back(outcome)

        # A repetition is appended again, and the log keeps the first: so this reply too is true.
        shown_ms = max(ask.offered.ts, first.ts - first.took_ms)
        _, position = await self._writer.append(EVENTS, [ask.shown_event(shown_ms), first], settled)
        if isinstance(first, Answered) and first is outcome:
            self._asks.settle(first, position)
        self._count(name, status)
        return AskReply(status)

    def _take_back(self, outcome: AskOutcome) -> None:
        """Have an answer that is not on the log count no longer when the next one is weighed."""
        if isinstance(outcome, Answered):
            self._asks.settle(outcome, None)

    def _open_offer(self, ask: Ask) -> OfferReply:
        offered = ask.offered
        posed_wording = self._asks.questions.wording(offered.question, offered.version, offered.locale)
        assert posed_wording is not None
        posed, wording = posed_wording
        labels = dict(zip(posed.values, wording.labels, strict=True))
        options = [OptionReply(value, labels[value]) for value in offered.order]
        question = QuestionReply(posed.name, posed.version, wording.text, options, wording.thanks)
        ticket = Ticket(
            ask.ids.ask,
            offered.user_id,
            offered.request_id,
            offered.item_id,
            offered.question,
            offered.version,
            self._asks.until(ask, self._token_ms),
        )
        return OfferReply(True, "asked", question, offered.locale, self._tokens.make(ticket), self._fade_ms)

    def _refused_offer(self, gate: str) -> OfferReply:
        return OfferReply(False, gate, None, "", None, self._fade_ms)

    def _check_ready(self) -> None:
        if not self._follower.caught_up:
            raise unavailable("not_ready", "the service is catching up with its log; see /health/ready")

    def _refusal(self, code: str, message: str) -> Refusal:
        self._metrics.tokens_refused.labels(code).inc()
        return Refusal(_STATUS[code], code, message)

    def _count(self, name: str, status: str) -> None:
        if status == "accepted":
            self._metrics.accepted.labels(name).inc()


def _check_ids(call: OfferCall | AskCall) -> None:
    for name in ("user_id", "request_id", "item_id"):
        if value := getattr(call, name):
            (check_ids if name == "request_id" else check_names)(name, value)


class _Writing(Generic[EventT]):
    """What is on its way to the log, by ask: while one word may still be written no other is taken."""

    def __init__(self) -> None:
        self._events: dict[str, tuple[EventT, int]] = {}

    def begin(self, ask_id: str, event: EventT) -> tuple[EventT, bool]:
        """Return what is to be written, and whether nothing is on its way yet.

        Raises Refusal (503) if something else is, of which nobody knows yet whether it will be written.
        """
        first, num = self._events.get(ask_id, (event, 0))
        if not _is_same(first, event):
            message = f"token: the ask is being {_describe(first)}; the same call may be made again"
            raise unavailable("log_unavailable", message)
        self._events[ask_id] = first, num + 1
        return first, not num

    def end(self, ask_id: str) -> None:
        """Note that one write has ended."""
        event, num = self._events.pop(ask_id)
        if num > 1:
            self._events[ask_id] = event, num - 1


def _is_same(one: Asked | AskOutcome, other: Asked | AskOutcome) -> bool:
    return one.event_id == other.event_id and getattr(one, "option", "") == getattr(other, "option", "")


def _describe(outcome: Asked | AskOutcome) -> str:
    if isinstance(outcome, Answered):
        return f"answered with {outcome.option!r}"
    return type(outcome).__name__.lower()
