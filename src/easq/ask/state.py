"""All that deciding needs, as a function of the log and of the offers under way.

Every eligible view is on the log with what was decided of it, so that a restart goes on with the same
cool-downs, caps, quota and probabilities. What is decided counts at once, before it is on the log; read
back from there it changes nothing.
"""

import hashlib
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from easq.ask import adaptive
from easq.ask.adaptive import Beliefs, Teaching
from easq.ask.known_requests import KnownRequests
from easq.ask.policy import (
    DAY_MS,
    Gate,
    Rule,
    Viewer,
    advance,
    ask_elsewhere,
    chance_open,
    draw,
    gates,
    is_eligible,
    own_lately,
    rate_now,
    sticky,
)
from easq.ask.quality import AnswerContext, QualityState, judge, observe
from easq.ask.viewers import RecentViewers
from easq.ask.wording import Questions
from easq.log.events import Answered, Asked, Dismissed, Event, Ignored, Offered, Request
from easq.recipe.recipe import Recipe

_MINUTE_MS = 60_000
_ASKS_KEPT_MS = 2 * DAY_MS  # of today's quota none is forgotten
_APART_MS = _MINUTE_MS  # how far partitions that are followed in turn may lie apart

Outcome = Answered | Dismissed | Ignored


@dataclass
class Ask:
    """One ask and what has become of it; `lapsed` says that it was not shown while it was reserved."""

    offered: Offered
    is_shown: bool = False
    is_lapsed: bool = False
    outcome: Outcome | None = None


@dataclass(frozen=True)
class View:
    """One view as a caller tells of it."""

    user_id: str
    request_id: str
    item_id: str
    play_ms: float
    ratio: float
    session: str = ""

    @property
    def names(self) -> tuple[str, str, str]:
        """Return what makes it this view and no other."""
        return self.user_id, self.request_id, self.item_id

    @property
    def key(self) -> str:
        """Return the id of the view; all ids of its ask are made from it."""
        text = "".join(f"{len(name)}:{name}" for name in self.names)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


class AskChance(NamedTuple):
    """The gates of a view, the sampling rate, the chance that a viewer's gates are open, and asks before.

    `teaching` is what the adaptive policy made the rate from.
    """

    gates: list[Gate]
    rate: float
    chance: float
    place: int
    teaching: Teaching | None = None


class AsksState(msgspec.Struct, array_like=True):
    """All that asking remembers, as it is stored. What is long is a list of what never changes."""

    offsets: list[int]
    newest: int
    served: list[tuple[str, bytes]]
    active: list[tuple[str, Viewer]]
    rested: list[tuple[str, Viewer]]
    decided: list[tuple[int, str, str]]
    asks: list[tuple[Offered, bool, bool, Outcome | None]]
    reserved: list[tuple[int, str]]
    used: dict[int, int]
    quality: QualityState
    beliefs: Beliefs


class Asks:
    """Decides on views and follows what becomes of the asks. Not for several threads at once."""

    def __init__(self, recipe: Recipe, secret: bytes, author_of: Callable[[str], str] = lambda _: "") -> None:
        self.rule = Rule.of(recipe.ask)
        self.questions = Questions(recipe)
        self._settings, self._trains = recipe.ask, recipe.question
        self._half_life_ms = recipe.ask.adaptive_half_life_hours * 60 * _MINUTE_MS
        self._beliefs = Beliefs()
        self._salt = hashlib.blake2b(secret, person=b"easq.sampling", digest_size=32).digest()
        window_ms = round(recipe.join.answer_window * _MINUTE_MS)
        self._reserve_ms, self._window = round(recipe.ask.reserve_seconds * 1000), window_ms
        self.served = KnownRequests(window_ms)
        self.viewers = RecentViewers(self.rule)
        self._decided: dict[str, str] = {}
        self._decided_at: deque[tuple[int, str, str]] = deque()
        self._unheard: OrderedDict[str, int] = OrderedDict()
        self._asks: dict[str, Ask] = {}
        self._offered_at: deque[tuple[int, str]] = deque()
        self._reserved: list[tuple[int, str]] = []
        self._used: Counter[int] = Counter()
        self._newest = 0
        self.quality, self._quality_rules = QualityState(), recipe.quality
        self._author_of = author_of
        self.offsets: list[int] = []
        """Of the partitions of EVENTS: everything before was heard."""

    def ingest(self, events: Sequence[Event]) -> None:
        """Take the next events of EVENTS, those of a partition in order and partitions about in step."""
        for event in events:
            self._newest = max(self._newest, event.ts)
            if isinstance(event, Asked | Answered):
                about = self.about(event)
                observe(event, self.quality, self._quality_rules, about)
                if isinstance(event, Answered) and self._is_adaptive and event.question == self._trains.name:
                    group = adaptive.group_of(event.item_id, about.author)
                    adaptive.observe(self._beliefs, event, group, self._trains.options, self._half_life_ms)
            if isinstance(event, Request):
                self.served.ingest(event, self._newest)
            elif isinstance(event, Offered):
                key = event.event_id[1:]
                # One of ours may be heard when it is no longer among those decided: it counted then.
                if self._unheard.pop(key, None) is None and key not in self._decided:
                    self._take(key, event)
            elif isinstance(event, Asked):
                self._hear_asked(event)
            elif isinstance(event, Outcome):
                ask = self._asks.get(event.ask_id)
                if ask is not None and ask.outcome is None:
                    ask.outcome = event
        self._forget()

    def about(self, event: Asked | Answered) -> AnswerContext:
        """Return what is known of an event's item and, of an answer to an ask of ours, what was read."""
        ask = self._asks.get(event.ask_id) if isinstance(event, Answered) else None
        offered = ask.offered if ask else None
        found = offered and self.questions.wording(offered.question, offered.version, offered.locale)
        since_ms = max(0, event.ts - offered.ts) if offered else inf
        return AnswerContext(self._author_of(event.item_id), found[1].text if found else "", since_ms)

    def weigh(self, answer: Answered) -> tuple[float, list[str]]:
        """Return what an answer counts for and why not more, by what was heard before."""
        return judge(answer, self.quality, self._quality_rules, self.about(answer))

    def why_not(self, view: View, now_ms: int) -> tuple[str, str]:
        """Return the first of the gates that need no viewer, and why it is closed; empty if none is."""
        if not is_eligible(self.rule, view.play_ms, view.ratio):
            rule = self.rule
            return "eligible", (
                f"played {view.play_ms:g} ms and {view.ratio:.0%}; eligible from {rule.min_play_ms:g} ms or "
                f"{rule.min_ratio:.0%} on"
            )
        if why := self.served.why_not(view.user_id, view.request_id, view.item_id, now_ms):
            return "unknown_view", why
        return "", ""

    def gates(self, view: View, now_ms: int) -> AskChance:
        """Return the gates that need the viewer, with the numbers behind them; changes nothing."""
        viewer = advance(self.rule, self.viewers.get(view.user_id), now_ms, view.session)
        used = self.used(now_ms)
        rate = rate_now(self.rule, used, now_ms, own_lately(self.rule, viewer))
        teaching = self._teaching(view, now_ms) if self._is_adaptive else None
        if teaching is not None:
            rate = adaptive.mixed(rate, self._settings.adaptive_floor, teaching.gain)
        sample = sticky(self._salt, "view", *view.names)
        chance = chance_open(self.rule, viewer)
        return AskChance(
            gates(self.rule, viewer, used, rate, sample), rate, chance, len(viewer.asks), teaching
        )

    def explain(self, view: View, now_ms: int) -> dict[str, Any]:
        """Return what would be decided on a view now, gate by gate with the numbers; changes nothing."""
        known = self.decided(view)
        first, why = self.why_not(view, now_ms)
        weighed = self.gates(view, now_ms)
        decided = None if known is None else known or "asked"
        found = [
            Gate("eligible", first != "eligible", why if first == "eligible" else "enough was watched"),
            Gate(
                "unknown_view", first != "unknown_view", why if first == "unknown_view" else "it was served"
            ),
            Gate("view", not decided, f"decided before: {decided}" if decided else "not decided before"),
            *weighed.gates,
        ]
        reason = next((gate.name for gate in found if not gate.is_open), "asked")
        return {
            "request_id": view.request_id,
            "show": reason == "asked",
            "reason": reason,
            "decided": decided,
            "gates": [{"name": gate.name, "open": gate.is_open, "why": gate.why} for gate in found],
            "rate": weighed.rate,
            "chance_open": weighed.chance,
            "propensity": weighed.rate * weighed.chance,
            "teaching": weighed.teaching and weighed.teaching._asdict(),
        }

    def decide(self, view: View, now_ms: int, locale: str = "") -> Offered:
        """Decide on a view that passed `why_not` and was not decided before, and count it from now on."""
        weighed = self.gates(view, now_ms)
        offered = Offered(
            event_id=f"o{view.key}",
            user_id=view.user_id,
            ts=now_ms,
            request_id=view.request_id,
            item_id=view.item_id,
            rate=weighed.rate,
            propensity=weighed.rate * weighed.chance,
            gate=next((gate.name for gate in weighed.gates if not gate.is_open), ""),
            session=view.session,
            policy=self._settings.policy,
        )
        if not offered.gate:
            posed = self.questions.pick(self._salt, *view.names)
            offered = replace(
                offered,
                question=posed.name,
                share=posed.share,
                version=posed.version,
                locale=self.questions.locale(posed, locale),
                order=self.questions.order(posed, self._salt, *view.names),
                place=weighed.place,
            )
        self._take(view.key, offered)
        self._unheard[view.key] = now_ms
        return offered

    def decided(self, view: View) -> str | None:
        """Return the gate that kept a view from being asked, empty for one that was; None if undecided."""
        return self._decided.get(view.key)

    def ask(self, ask_id: str) -> Ask | None:
        """Return an ask by its id, while it is remembered."""
        return self._asks.get(ask_id)

    def ask_of(self, view: View) -> Ask | None:
        """Return the ask of a view, if there was one."""
        return self._asks.get(f"q{view.key}")

    def show(self, ask: Ask) -> None:
        """Count an ask as shown."""
        if ask.is_lapsed:
            ask.is_lapsed = False
            self._used[ask.offered.ts // DAY_MS] += 1
        ask.is_shown = True

    def used(self, now_ms: int) -> int:
        """Return how much of the day's quota is shown or reserved; reservations lapse by it."""
        while self._reserved and self._reserved[0][0] <= now_ms:
            _, ask_id = heappop(self._reserved)
            ask = self._asks.get(ask_id)
            if ask is not None and not ask.is_shown:
                ask.is_lapsed = True
                self._used[ask.offered.ts // DAY_MS] -= 1
        return self._used[now_ms // DAY_MS]

    def until(self, ask: Ask, token_ms: int) -> int:
        """Return when the token of an ask expires: answers that come later could not be joined."""
        return min(ask.offered.ts + token_ms, self.served.until(ask.offered.request_id))

    @property
    def _is_adaptive(self) -> bool:
        return self._settings.policy == "adaptive"

    def _teaching(self, view: View, now_ms: int) -> Teaching:
        group = adaptive.group_of(view.item_id, self._author_of(view.item_id))
        belief = adaptive.believed(self._beliefs, group, view.user_id, now_ms, self._half_life_ms)
        return adaptive.teaching(group, belief, sticky(self._salt, "teaching", *view.names))

    def kept(self) -> AsksState:
        """Return all that is remembered. `quality` and `beliefs` change with the next call, no other part."""
        return AsksState(
            list(self.offsets),
            self._newest,
            self.served.kept(),
            *self.viewers.kept(),
            list(self._decided_at),
            [(a.offered, a.is_shown, a.is_lapsed, a.outcome) for a in self._asks.values()],
            list(self._reserved),
            dict(self._used),
            self.quality,
            self._beliefs,
        )

    def restore(self, kept: AsksState) -> None:
        """Remember what `kept` returned; nothing may have been heard before."""
        self.offsets, self._newest = kept.offsets, kept.newest
        self.served.restore(kept.served)
        self.viewers.restore(kept.active, kept.rested)
        self._decided_at.extend(kept.decided)
        self._decided.update((key, gate) for _, key, gate in kept.decided)
        for ask in (Ask(*parts) for parts in kept.asks):
            ask_id = f"q{ask.offered.event_id[1:]}"
            self._asks[ask_id] = ask
            self._offered_at.append((ask.offered.ts, ask_id))
        self._reserved = kept.reserved
        self._used.update(kept.used)
        self.quality, self._beliefs = kept.quality, kept.beliefs

    def _take(self, key: str, offered: Offered) -> None:
        """Count a decision, just made or read."""
        is_asked = not offered.gate
        viewer = advance(self.rule, self.viewers.get(offered.user_id), offered.ts, offered.session)
        self.viewers.put(offered.user_id, draw(self.rule, viewer, offered.rate, is_asked))
        self._decided[key] = offered.gate
        self._decided_at.append((offered.ts, key, offered.gate))
        if is_asked:
            ask_id = f"q{key}"
            self._asks[ask_id] = Ask(offered)
            self._offered_at.append((offered.ts, ask_id))
            self._used[offered.ts // DAY_MS] += 1
            heappush(self._reserved, (offered.ts + self._reserve_ms, ask_id))

    def _hear_asked(self, event: Asked) -> None:
        ask = self._asks.get(event.event_id)
        if ask is not None:
            if not ask.is_shown:
                self.show(ask)
        elif not event.policy:
            viewer = advance(self.rule, self.viewers.get(event.user_id), event.ts)
            self.viewers.put(event.user_id, ask_elsewhere(self.rule, viewer))

    def _forget(self) -> None:
        now_ms = self._newest - _APART_MS
        self.served.forget(now_ms)
        self.viewers.forget(now_ms)
        while self._decided_at and self._decided_at[0][0] + self._window < now_ms:
            del self._decided[self._decided_at.popleft()[1]]
        while self._unheard and next(iter(self._unheard.values())) + _ASKS_KEPT_MS < now_ms:
            self._unheard.popitem(last=False)  # it never came to the log
        while self._offered_at and self._offered_at[0][0] + _ASKS_KEPT_MS < now_ms:
            del self._asks[self._offered_at.popleft()[1]]
        for day in [day for day in self._used if day < now_ms // DAY_MS - 2]:
            del self._used[day]
