"""State of the asking policy: rebuilt deterministically from the event log, plus the offers under way.

Every eligible view is on the log with what was decided on it, so a restart goes on with the same
cool-downs, caps, quota and probabilities. A decision counts at once, before it is on the log. Reading it
back from there changes nothing.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from easq.ask import adaptive
from easq.ask.adaptive import Beliefs, Teaching
from easq.ask.answer_memory import AnswerMemory
from easq.ask.decisions import Ask, AskOutcome, Decisions, ViewDecision
from easq.ask.known_requests import KnownRequests
from easq.ask.policy import (
    Gate,
    Rule,
    Viewer,
    chance_open,
    gates,
    is_eligible,
    own_lately,
    rate_now,
    sticky,
)
from easq.ask.quality import QualityState
from easq.ask.quota import Quota
from easq.ask.view import AskId, View
from easq.ask.viewers import RecentViewers
from easq.ask.wording import Questions
from easq.log.base import Position
from easq.log.event_time import EventTime
from easq.log.events import Answered, Asked, Event, Offered, Request
from easq.recipe.recipe import Recipe

_MINUTE_MS = 60_000
_ROUND_TRIP_MS = 1000  # players round, and count from their own clock
_SKEW_MS = _MINUTE_MS  # how far apart in time the partitions being followed may be


class AskChance(NamedTuple):
    """The gates of a view with the numbers behind them.

    `rate` is the sampling rate, `chance` the probability that the viewer's gates are open, and `place` the
    number of asks before. `teaching` is what the adaptive policy made the rate from.
    """

    gates: list[Gate]
    rate: float
    chance: float
    place: int
    teaching: Teaching | None = None


class AsksState(msgspec.Struct, array_like=True):
    """The state of `Asks` as it is stored. The long parts are lists of immutable values."""

    offsets: list[int]
    newest: int
    served: list[tuple[str, bytes]]
    active: list[tuple[str, Viewer]]
    rested: list[tuple[str, Viewer]]
    decided: list[tuple[int, str, str]]
    asks: list[tuple[Offered, bool, bool, AskOutcome | None]]
    reserved: list[tuple[int, str]]
    used: dict[int, int]
    quality: QualityState
    beliefs: Beliefs
    under_way: list[Answered]


class Asks:
    """Decides on views, and follows what becomes of the asks. For one thread.

    `offsets` say, by partition of EVENTS, how many events were taken. `author_of` returns the author of an
    item, empty if unknown.
    """

    def __init__(self, recipe: Recipe, secret: bytes, author_of: Callable[[str], str] = lambda _: "") -> None:
        self.rule = Rule.of(recipe.ask)
        self.questions = Questions(recipe)
        self._settings = recipe.ask
        self._salt = hashlib.blake2b(secret, person=b"easq.sampling", digest_size=32).digest()
        window_ms = round(recipe.join.answer_window * _MINUTE_MS)
        self.served = KnownRequests(window_ms)
        self.viewers = RecentViewers(self.rule)
        self._decisions = Decisions(window_ms)
        self._quota = Quota(round(recipe.ask.reserve_seconds * 1000), self._decisions.ask)
        self._answers = AnswerMemory(recipe, self.questions, self._decisions.ask, author_of)
        self._time = EventTime()
        self.offsets: list[int] = []

    def ingest(self, partition: int, start: int, events: Sequence[Event]) -> None:
        """Take the events of a partition of EVENTS from offset `start` on, except those taken before."""
        self.observe(events[max(0, self.offsets[partition] - start) :])
        self.offsets[partition] = max(self.offsets[partition], start + len(events))

    def rebuild(self, batches: Iterable[Sequence[Event]], ends: Sequence[int]) -> None:
        """Take the events of all partitions up to the offsets `ends`, merged by time."""
        for events in batches:
            self.observe(events)
        self.offsets = list(ends)

    def observe(self, events: Sequence[Event]) -> None:
        """Take the next events: each partition's in order, and the partitions about in step."""
        for event in events:
            self._time.move(event.ts)
            if isinstance(event, Asked | Answered):
                self._answers.observe(event)
            if isinstance(event, Request):
                self.served.ingest(event, self._time.newest)
            elif isinstance(event, Offered):
                if not self._decisions.is_known(AskId.of(event.event_id).key):
                    self._count(event)
            elif isinstance(event, Asked):
                self._observe_asked(event)
            elif isinstance(event, AskOutcome):
                ask = self.ask(event.ask_id)
                if ask is not None and ask.outcome is None:
                    ask.outcome = event
        self._forget()

    def weigh(self, answer: Answered) -> Answered:
        """Return an answer with how much it counts, by all that came before.

        It counts at once, so that the answers of one call, and of calls at the same time, are judged by each
        other. Call `settle` once it is written.
        """
        return self._answers.weigh(answer)

    def settle(self, answer: Answered, position: Position | None) -> None:
        """Take note where a weighed answer stands on the log, None if it was not written.

        It counts no longer if it was not written, or was there before.
        """
        if position is None or position.offset < self.offsets[position.partition]:
            self._answers.withdraw(answer)

    def why_not(self, view: View, now_ms: int) -> tuple[str, str]:
        """Return the first closed gate of those that need no viewer, and why; empty if none is closed."""
        if not is_eligible(self.rule, view.play_ms, view.ratio):
            rule = self.rule
            return "eligible", (
                f"played {view.play_ms:g} ms and {view.ratio:.0%}; eligible from {rule.min_play_ms:g} ms or "
                f"{rule.min_ratio:.0%} on"
            )
        if why := self.served.why_not(view.user_id, view.request_id, view.item_id, now_ms):
            return "unknown_view", why
        since_ms = now_ms - self.served.made_at(view.request_id)
        if view.play_ms > since_ms + _ROUND_TRIP_MS:
            return "play_time", f"played {view.play_ms:g} ms of a ranking that was made {since_ms} ms ago"
        return "", ""

    def gates(self, view: View, now_ms: int) -> AskChance:
        """Return the gates that need the viewer, with the numbers behind them. Changes nothing."""
        viewer = self.viewers.at(view.user_id, now_ms, view.session)
        used = self.used(now_ms)
        rate = rate_now(self.rule, used, now_ms, own_lately(self.rule, viewer))
        teaching = self._answers.teaching(view, now_ms, self._salt)
        if teaching is not None:
            rate = adaptive.mixed(rate, self._settings.adaptive_floor, teaching.gain)
        sample = sticky(self._salt, "view", *view.names)
        chance = chance_open(self.rule, viewer)
        return AskChance(
            gates(self.rule, viewer, used, rate, sample), rate, chance, len(viewer.asks), teaching
        )

    def decide(self, view: View, now_ms: int, locale: str = "") -> Offered:
        """Decide on a view that passed `why_not` and is undecided, and count the decision."""
        self.expire(now_ms)
        chance = self.gates(view, now_ms)
        ids = AskId(view.key)
        offered = Offered(
            event_id=ids.offer,
            user_id=view.user_id,
            ts=now_ms,
            request_id=view.request_id,
            item_id=view.item_id,
            rate=chance.rate,
            propensity=chance.rate * chance.chance,
            gate=next((gate.name for gate in chance.gates if not gate.is_open), ""),
            session=view.session,
            policy=self._settings.policy,
        )
        if not offered.gate:
            question = self.questions.pick(self._salt, *view.names)
            offered = replace(
                offered,
                question=question.name,
                share=question.share,
                version=question.version,
                locale=self.questions.locale(question, locale),
                order=self.questions.order(question, self._salt, *view.names),
                place=chance.place,
            )
        self._count(offered)
        self._decisions.expect(ids.key, now_ms)
        return offered

    def decided(self, view: View) -> ViewDecision:
        """Return what was decided on a view."""
        return self._decisions.of(view.key)

    def ask(self, ask_id: str) -> Ask | None:
        """Return an ask by its id, while it is remembered."""
        return self._decisions.ask(ask_id)

    def ask_of(self, view: View) -> Ask | None:
        """Return the ask of a view, if there was one."""
        return self.ask(AskId(view.key).ask)

    def show(self, ask: Ask) -> None:
        """Count an ask as shown."""
        self._quota.show(ask)

    def conclude(self, ask: Ask, outcome: AskOutcome) -> None:
        """Count an ask as shown and concluded. Its first outcome stays."""
        if ask.outcome is None:
            ask.outcome = outcome
        self.show(ask)

    def used(self, now_ms: int) -> int:
        """Return how much of the day's quota is shown or reserved. Changes nothing."""
        return self._quota.used(now_ms)

    def expire(self, now_ms: int) -> None:
        """Let the reservations lapse that have ended by now."""
        self._quota.expire(now_ms)

    def until(self, ask: Ask, token_ms: int) -> int:
        """Return when the token of an ask expires: answers that come later could not be joined."""
        return min(ask.offered.ts + token_ms, self.served.until(ask.offered.request_id))

    def state(self) -> AsksState:
        """Return all that is remembered. Only its `quality` and `beliefs` change with later calls."""
        return AsksState(
            list(self.offsets),
            self._time.newest,
            self.served.state(),
            *self.viewers.state(),
            self._decisions.decided(),
            self._decisions.asks(),
            self._quota.reserved(),
            self._quota.used_by_day(),
            self._answers.quality,
            self._answers.beliefs,
            self._answers.under_way(),
        )

    def restore(self, state: AsksState) -> None:
        """Go on from what `state` returned; nothing may have been taken before."""
        self.offsets, self._time = state.offsets, EventTime(state.newest)
        self.served.restore(state.served)
        self.viewers.restore(state.active, state.rested)
        self._decisions.restore(state.decided, state.asks)
        self._quota.restore(state.reserved, state.used)
        self._answers.restore(state.quality, state.beliefs, state.under_way)

    def _count(self, offered: Offered) -> None:
        """Count a decision just made, or read from the log."""
        self.viewers.draw(offered)
        if (ask := self._decisions.record(offered)) is not None:
            self._quota.reserve(ask)

    def _observe_asked(self, event: Asked) -> None:
        ask = self.ask(event.event_id)
        if ask is not None and ask.offered.user_id == event.user_id:
            self.show(ask)
        elif not event.policy:  # the platform's own questionnaire
            self.viewers.ask_elsewhere(event)

    def _forget(self) -> None:
        now_ms = self._time.newest - _SKEW_MS
        self.served.forget(now_ms)
        self.viewers.forget(now_ms)
        self._decisions.forget(now_ms)
        self._quota.forget(now_ms)
