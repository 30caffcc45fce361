"""The questionnaire: offers, and what became of the asks. Every reply is about what is on the log.

An offer that asks nothing is answered before its event is durable: what a crash takes with it is a draw
that changed nothing for the viewer.
"""

from typing import Any

import msgspec

from easq.ask.decisions import Ask, AskOutcome, DecisionStatus
from easq.ask.judge import Judge
from easq.ask.offer import OfferReply, OptionReply, QuestionReply
from easq.ask.state import Asks
from easq.ask.token import Ticket, TokenError, Tokens
from easq.ask.view import View
from easq.errors import InputError
from easq.home.clock import NowMs
from easq.log.events import EVENTS, Answered, Dismissed, Ignored
from easq.recipe.questionnaire import AskSettings
from easq.service.counters import ServiceCounters
from easq.service.http.ask_messages import AnswerCall, AskCall, AskReply, OfferCall
from easq.service.http.error_replies import Refusal, unavailable
from easq.service.http.messages import JSON, MSGPACK, Format, check_ids
from easq.service.log_follower import LogFollower
from easq.service.log_writer import LogWriter

_BOUND = ("user_id", "request_id", "item_id", "question", "version")
_STATUS = {"forged": 403, "mismatched": 403, "expired": 410, "used": 409}


class Questionnaire:
    """Takes the calls of one service about asks."""

    def __init__(
        self,
        asks: Asks,
        tokens: Tokens,
        settings: AskSettings,
        judge: Judge,
        writing: LogWriter,
        follower: LogFollower,
        metrics: ServiceCounters,
        now_ms: NowMs,
    ) -> None:
        self._now_ms = now_ms
        self._asks, self._tokens, self._judge = asks, tokens, judge
        self._writing, self._follower, self._metrics = writing, follower, metrics
        self._token_ms = round(settings.token_minutes * 60_000)
        self._fade_ms = round(settings.fade_seconds * 1000)
        self._readers = {
            (kind, form.media_type): form.reader(kind)
            for kind in (OfferCall, AskCall, AnswerCall)
            for form in (JSON, MSGPACK)
        }

    async def offer(self, body: bytes, given: Format, wanted: Format) -> bytes:
        """Decide whether a view is asked."""
        call: OfferCall = self._read(OfferCall, body, given)
        view = View(call.user_id, call.request_id, call.item_id, call.play_ms, call.ratio, call.session_id)
        now_ms = self._now_ms()
        self._check_ready()
        gate, _ = self._asks.why_not(view, now_ms)
        if not gate:
            gate = await self._decide(view, now_ms, call.locale)
        self._metrics.offers.labels(gate or "none").inc()
        ask = None if gate else self._asks.ask_of(view)
        return wanted.encode(self._closed(gate) if ask is None else self._open(ask))

    async def shown(self, body: bytes, given: Format, wanted: Format) -> bytes:
        """Log that an ask was really shown."""
        call: AskCall = self._read(AskCall, body, given)
        ask = self._ask(call)
        status = "counted before" if ask.is_shown else "accepted"
        self._asks.show(ask)
        await self._writing.append(EVENTS, [ask.shown_event(self._now_ms())])
        self._count("asked", status)
        return wanted.encode(AskReply(status))

    async def answer(self, body: bytes, given: Format, wanted: Format) -> bytes:
        """Log the option that a viewer chose."""
        call: AnswerCall = self._read(AnswerCall, body, given)
        ask = self._ask(call)
        if call.option not in ask.offered.order:
            allowed = ", ".join(ask.offered.order)
            raise Refusal(400, "invalid", f"option: got {call.option!r}; allowed: {allowed}")
        answer = ask.outcome_event(Answered, self._now_ms(), call.took_ms, option=call.option)
        weight, flags = self._judge(answer, self._asks) if ask.outcome is None else (1.0, [])
        answer = msgspec.structs.replace(answer, weight=weight, flags=flags)
        return wanted.encode(await self._conclude(ask, answer, "answered"))

    async def dismiss(self, body: bytes, given: Format, wanted: Format) -> bytes:
        """Log that a viewer closed the question."""
        call: AskCall = self._read(AskCall, body, given)
        ask = self._ask(call)
        dismissed = ask.outcome_event(Dismissed, self._now_ms(), call.took_ms)
        return wanted.encode(await self._conclude(ask, dismissed, "dismissed"))

    async def ignored(self, body: bytes, given: Format, wanted: Format) -> bytes:
        """Log that a question went away by itself."""
        call: AskCall = self._read(AskCall, body, given)
        ask = self._ask(call)
        ignored = ask.outcome_event(Ignored, self._now_ms(), call.took_ms)
        return wanted.encode(await self._conclude(ask, ignored, "ignored"))

    async def _decide(self, view: View, now_ms: int, locale: str) -> str:
        """Return the closed gate of a view, now decided and, if it is asked, on the log."""
        decision = self._asks.decided(view)
        if decision.status is DecisionStatus.CLOSED:
            return decision.gate
        if decision.status is DecisionStatus.UNDECIDED:
            offered = self._asks.decide(view, now_ms, locale)
            if offered.gate:
                self._writing.post(EVENTS, [offered])
                return offered.gate
        ask = self._asks.ask_of(view)
        if ask is None or ask.is_shown or ask.outcome or self._has_lapsed(ask, now_ms):
            return "view"
        if (
            self._asks.questions.wording(ask.offered.question, ask.offered.version, ask.offered.locale)
            is None
        ):
            return "view"  # the question was reworded between the offer and its repetition
        await self._writing.append(EVENTS, [ask.offered])
        return ""

    def _ask(self, call: AskCall) -> Ask:
        """Return the ask that a token is for; raise Refusal if it is not to be taken."""
        self._check_ready()
        now_ms = self._now_ms()
        try:
            ticket = self._tokens.read(call.token, now_ms)
        except TokenError as error:
            raise self._refusal(error.code, str(error)) from None
        for name in _BOUND:
            given, bound = getattr(call, name), getattr(ticket, name)
            if given not in (None, bound):
                raise self._refusal("mismatched", f"{name}: got {given!r}; the token is for {bound!r}")
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
        """Log what became of an ask, with the ask itself if its own report was lost."""
        before = ask.outcome
        if before is not None and not _is_same(before, outcome):
            raise self._refusal("used", f"token: the ask was {_words(before)} already; it counts once")
        self._asks.conclude(ask, outcome)
        # Said again it is appended again, and the log keeps the first: so this reply too is true.
        shown_ms = max(ask.offered.ts, outcome.ts - outcome.took_ms)
        await self._writing.append(EVENTS, [ask.shown_event(shown_ms), before or outcome])
        status = "accepted" if before is None else "counted before"
        self._count(name, status)
        return AskReply(status)

    def _open(self, ask: Ask) -> OfferReply:
        offered = ask.offered
        found = self._asks.questions.wording(offered.question, offered.version, offered.locale)
        assert found is not None
        posed, wording = found
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

    def _closed(self, gate: str) -> OfferReply:
        return OfferReply(False, gate, None, "", None, self._fade_ms)

    def _check_ready(self) -> None:
        if not self._follower.caught_up:
            raise unavailable("not_ready", "the service is catching up with its log; see /health/ready")

    def _read(self, kind: Any, body: bytes, form: Format) -> Any:
        try:
            call = self._readers[kind, form.media_type].read(body)
            for name in ("user_id", "request_id", "item_id"):
                if value := getattr(call, name):
                    check_ids(name, value)
        except InputError as error:
            raise Refusal(400, "invalid", str(error)) from None
        return call

    def _refusal(self, code: str, message: str) -> Refusal:
        self._metrics.tokens_refused.labels(code).inc()
        return Refusal(_STATUS[code], code, message)

    def _count(self, name: str, status: str) -> None:
        if status == "accepted":
            self._metrics.accepted.labels(name).inc()


def _is_same(one: AskOutcome, other: AskOutcome) -> bool:
    return one.event_id == other.event_id and getattr(one, "option", "") == getattr(other, "option", "")


def _words(outcome: AskOutcome) -> str:
    if isinstance(outcome, Answered):
        return f"answered with {outcome.option!r}"
    return type(outcome).__name__.lower()
