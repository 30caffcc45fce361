"""How much an answer counts: haste, habit and campaigns, found by pure functions over a bounded state.

The state is a function of the asks and answers that it was shown, in their order. A flood is measured
against asks: a campaign answers nearly every ask about its author, and everybody else few of them.
"""

import unicodedata
from math import exp, inf, log
from typing import NamedTuple

import msgspec

from easq.ask.decayed_sum import DecayedSum
from easq.ask.recent import MAX_ANSWERS, add_answer, forget_oldest, renew
from easq.log.events import Answered, Asked
from easq.log.ids import stable_id
from easq.recipe.questionnaire import Quality

SPEEDER, STRAIGHT, BURST, LIMIT = "speeder", "straight_line", "burst", "daily_limit"
FLOOD, FLOODER = "flood", "flooder"
"""Flags: what an answer's weight below 1 is owed to."""

_FLAGGED = 0.2  # of a speeder, a straight-liner and a burst: a doubt, not a proof
_FLOODED = 0.1  # of whoever took part in a flood, whatever else is said
_DAY_MS, _HOUR_MS = 86_400_000, 3_600_000
_MAX_VIEWERS = 64  # different viewers told apart in one flood
_REACTION_MS = 250
# Mean reading speeds in characters a second (IReST, Trauzettel-Klosinski and Dietz 2012: English 987 and
# Chinese 255 characters a minute).
_SPARSE_PER_S, _DENSE_PER_S = 16.5, 4.25


class AnswerContext(NamedTuple):
    """What an event does not say of itself: the item's author, and the question as it was shown.

    `since_ms` is the service's own time from the offer to the answer: nobody read the question for longer.
    """

    author: str = ""
    text: str = ""
    since_ms: float = inf


class AnswerWeight(NamedTuple):
    """How much an answer counts, from 0 to 1, and why not fully."""

    weight: float
    flags: list[str]


class RecentAnswer(NamedTuple):
    """One answer, as it is remembered of its viewer."""

    ts: int
    question: str
    option: str
    is_flood: bool = False


class Target(msgspec.Struct):
    """What came about one author or item: asks, and by option answers, their weights and their viewers."""

    asks: DecayedSum = msgspec.field(default_factory=DecayedSum)
    answers: dict[str, DecayedSum] = {}
    weights: dict[str, DecayedSum] = {}
    viewers: dict[str, dict[int, int]] = {}


class QualityState(msgspec.Struct):
    """What is remembered: recent answers by viewer, and by question what came about each target.

    A target's key is question, kind and name; `everything` holds each question's sums.
    """

    viewers: dict[str, list[RecentAnswer]] = {}
    targets: dict[tuple[str, str, str], Target] = {}
    everything: dict[str, Target] = {}


def judge(answer: Answered, state: QualityState, rules: Quality, about: AnswerContext) -> AnswerWeight:
    """Return how much an answer counts, before it is logged and shown to the state.

    `took_ms` is what the viewer's side says, 0 if it does not; the time since the offer bounds it.
    """
    past = state.viewers.get(answer.user_id, [])
    weight, flags = 1.0, []
    for flag, is_so in (
        (SPEEDER, _is_hasty(answer, past, rules, about)),
        (BURST, _since(past, answer.ts - rules.burst_seconds * 1000) + 1 >= rules.burst_answers),
        (STRAIGHT, _is_straight(answer, past, state, rules)),
    ):
        if is_so:
            flags.append(flag)
            weight *= _FLAGGED
    if any(said.is_flood for said in past):
        flags.append(FLOODER)
        weight *= _FLOODED
    if _since(past, answer.ts - _DAY_MS) >= rules.max_per_day:
        flags.append(LIMIT)
        weight = 0.0
    left = min(_left(answer, key, state, rules) for key in _keys(answer, about))
    if left < 1:
        flags.append(FLOOD)
        weight = min(weight, left)
    return AnswerWeight(round(weight, 6), flags)


def observe(event: Asked | Answered, state: QualityState, rules: Quality, about: AnswerContext) -> None:
    """Take what has been logged; an answer with the weight that it was given."""
    half_life_ms = rules.flood_hours * _HOUR_MS
    whole = state.everything.setdefault(event.question, Target())
    targets = [whole, *(renew(state.targets, key, Target()) for key in _keys(event, about))]
    for target in targets:
        if isinstance(event, Asked):
            target.asks.add(event.ts, 1.0, half_life_ms)
            continue
        for counts, amount in ((target.answers, 1.0), (target.weights, event.weight)):
            counts.setdefault(event.option, DecayedSum()).add(event.ts, amount, half_life_ms)
        if target is not whole:
            viewers = target.viewers.setdefault(event.option, {})
            viewers[stable_id(event.user_id)] = event.ts
            forget_oldest(viewers, _MAX_VIEWERS)
    if isinstance(event, Answered):
        answer = RecentAnswer(event.ts, event.question, event.option, FLOOD in event.flags)
        add_answer(state.viewers, event.user_id, answer, max(MAX_ANSWERS, rules.max_per_day))
    forget_oldest(state.targets)


def reading_ms(text: str, skimming: float) -> float:
    """Return the least time in which a question can have been read, its script considered.

    >>> round(reading_ms("Are you satisfied with this video?", 3.0))
    937
    >>> round(reading_ms("你对这个视频满意吗？", 3.0))
    1034
    """
    dense = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    seconds = (len(text) - dense) / _SPARSE_PER_S + dense / _DENSE_PER_S
    return _REACTION_MS + 1000 * seconds / skimming


def _is_hasty(answer: Answered, past: list[RecentAnswer], rules: Quality, about: AnswerContext) -> bool:
    # Who has answered the question before need not read it again.
    known = any(said.question == answer.question for said in past)
    needed = _REACTION_MS if known else reading_ms(about.text, rules.skimming)
    return min(answer.took_ms or inf, about.since_ms) < needed


def _is_straight(answer: Answered, past: list[RecentAnswer], state: QualityState, rules: Quality) -> bool:
    """Say whether a run of one option is too long for how often everybody chooses it."""
    run, own = 1, 0.0
    for said in reversed(past):
        if said.question == answer.question:
            if said.option != answer.option:
                break
            run += 1
            own += 0.5 ** ((answer.ts - said.ts) / (rules.flood_hours * _HOUR_MS))
    whole = state.everything.get(answer.question, Target())
    total = sum(answers.at(answer.ts) for answers in whole.answers.values())
    # Of everybody else's answers; seven of ten while little is known, so that a short run proves nothing.
    share = (max(0.0, _count(whole.answers, answer) - own) + 7.0) / (max(0.0, total - own) + 10.0)
    return run > 1 and min(share, 0.95) ** run < rules.straight_chance


def _left(answer: Answered, key: tuple[str, str, str], state: QualityState, rules: Quality) -> float:
    """Return how much weight a flood leaves for this answer; 1 where there is none."""
    target, whole = state.targets.get(key), state.everything.get(answer.question)
    if target is None or whole is None:
        return 1.0
    viewers = target.viewers.get(answer.option, {})
    horizon = answer.ts - 2 * rules.flood_hours * _HOUR_MS
    recent = {viewer for viewer, ts in viewers.items() if ts > horizon} | {stable_id(answer.user_id)}
    if len(recent) < rules.flood_viewers:
        return 1.0
    asks, ts = target.asks.at(answer.ts), answer.ts
    # Elsewhere, so that a flood does not make itself usual; one ask and a half answer before any came.
    other_asks = max(0.0, whole.asks.at(ts) - asks) + 1.0
    elsewhere = _count(whole.answers, answer) - _count(target.answers, answer)
    usual = rules.flood_excess * max(asks, 1.0) * (max(0.0, elsewhere) + 0.5) / other_asks
    if _chance_of(_count(target.answers, answer) + 1.0, usual) >= rules.flood_chance:
        return 1.0
    return min(1.0, max(0.0, usual - _count(target.weights, answer)))


def _chance_of(count: float, mean: float) -> float:
    """Return how often a Poisson number of this mean is at least `count`; Chernoff's bound, for any count."""
    if count <= mean:
        return 1.0
    return exp(count - mean - count * log(count / mean))


def _count(counts: dict[str, DecayedSum], answer: Answered) -> float:
    found = counts.get(answer.option)
    return found.at(answer.ts) if found else 0.0


def _since(past: list[RecentAnswer], ts: float) -> int:
    return sum(said.ts > ts for said in past)


def _keys(event: Asked | Answered, about: AnswerContext) -> list[tuple[str, str, str]]:
    keys = [(event.question, "item", event.item_id)]
    return [*keys, (event.question, "author", about.author)] if about.author else keys
