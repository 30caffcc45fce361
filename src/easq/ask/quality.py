"""How much an answer counts: pure functions over a bounded state detect haste, habit and campaigns.

The state is a function of the asks and answers observed, in their order. A flood is measured against
asks: a campaign answers nearly every ask about its author, and other viewers answer few.
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
"""Flags: why an answer's weight is below 1."""

_FLAGGED = 0.2  # weight of a speeder, a straight-liner and a burst: a doubt, not a proof
_FLOODED = 0.1  # weight of all other answers of a viewer who took part in a flood
_DAY_MS, _HOUR_MS = 86_400_000, 3_600_000
_MAX_VIEWERS = 64  # viewers remembered of one flood
_REACTION_MS = 250
# Mean reading speeds in characters a second (IReST, Trauzettel-Klosinski and Dietz 2012: English 987 and
# Chinese 255 characters a minute).
_SPARSE_PER_S, _DENSE_PER_S = 16.5, 4.25


class AnswerContext(NamedTuple):
    """What an event does not contain: the item's author, and the text of the question as shown.

    `since_ms` is the service's own time from the offer to the answer, an upper bound of the reading time.
    """

    author: str = ""
    text: str = ""
    since_ms: float = inf


class AnswerWeight(NamedTuple):
    """How much an answer counts, from 0 to 1, and why not fully."""

    weight: float
    flags: list[str]


class RecentAnswer(NamedTuple):
    """One remembered answer of a viewer."""

    ts: int
    question: str
    option: str
    is_flood: bool = False


class Target(msgspec.Struct):
    """Counts about one author or item: asks and, by option, answers, their weights and their viewers."""

    asks: DecayedSum = msgspec.field(default_factory=DecayedSum)
    answers: dict[str, DecayedSum] = {}
    weights: dict[str, DecayedSum] = {}
    viewers: dict[str, dict[int, int]] = {}


class QualityState(msgspec.Struct):
    """Recent answers by viewer, and by question the counts about each target.

    A target's key is question, kind and name; `everything` holds each question's sums.
    """

    viewers: dict[str, list[RecentAnswer]] = {}
    targets: dict[tuple[str, str, str], Target] = {}
    everything: dict[str, Target] = {}


def judge(answer: Answered, state: QualityState, rules: Quality, about: AnswerContext) -> AnswerWeight:
    """Return how much an answer counts, before it is logged and observed.

    `took_ms` is what the client says, 0 if it says nothing. The time since the offer bounds it.
    """
    past = state.viewers.get(answer.user_id, [])
    weight, flags = 1.0, []
    for flag, applies in (
        (SPEEDER, _is_hasty(answer, past, rules, about)),
        (BURST, _since(past, answer.ts - rules.burst_seconds * 1000) + 1 >= rules.burst_answers),
        (STRAIGHT, _is_straight(answer, past, state, rules)),
    ):
        if applies:
            flags.append(flag)
            weight *= _FLAGGED
    if any(earlier.is_flood for earlier in past):
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
    """Add an ask, or an answer with its weight."""
    whole = state.everything.setdefault(event.question, Target())
    targets = [renew(state.targets, key, Target()) for key in _keys(event, about)]
    _count_in([whole, *targets], event, rules, 1.0)
    if isinstance(event, Answered):
        for target in targets:
            viewers = target.viewers.setdefault(event.option, {})
            viewers[stable_id(event.user_id)] = event.ts
            forget_oldest(viewers, _MAX_VIEWERS)
        answer = _remembered(event)
        add_answer(state.viewers, event.user_id, answer, max(MAX_ANSWERS, rules.max_per_day))
    forget_oldest(state.targets)


def withdraw(answer: Answered, state: QualityState, rules: Quality, about: AnswerContext) -> None:
    """Take back an observed answer that was not written. Of a flood it stays one of the viewers."""
    targets = [state.targets[key] for key in _keys(answer, about) if key in state.targets]
    _count_in([state.everything[answer.question], *targets], answer, rules, -1.0)
    past = state.viewers.get(answer.user_id, [])
    if _remembered(answer) in past:
        past.remove(_remembered(answer))


def _count_in(targets: list[Target], event: Asked | Answered, rules: Quality, times: float) -> None:
    half_life_ms = rules.flood_hours * _HOUR_MS
    for target in targets:
        if isinstance(event, Asked):
            target.asks.add(event.ts, times, half_life_ms)
            continue
        for counts, amount in ((target.answers, 1.0), (target.weights, event.weight)):
            counts.setdefault(event.option, DecayedSum()).add(event.ts, times * amount, half_life_ms)


def _remembered(answer: Answered) -> RecentAnswer:
    return RecentAnswer(answer.ts, answer.question, answer.option, FLOOD in answer.flags)


def reading_ms(text: str, skimming: float) -> float:
    """Return the shortest time in which a question can be read, depending on its script.

    >>> round(reading_ms("Are you satisfied with this video?", 3.0))
    937
    >>> round(reading_ms("你对这个视频满意吗？", 3.0))
    1034
    """
    dense = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    seconds = (len(text) - dense) / _SPARSE_PER_S + dense / _DENSE_PER_S
    return _REACTION_MS + 1000 * seconds / skimming


def _is_hasty(answer: Answered, past: list[RecentAnswer], rules: Quality, about: AnswerContext) -> bool:
    # A viewer who has answered the question before need not read it again.
    known = any(earlier.question == answer.question for earlier in past)
    needed = _REACTION_MS if known else reading_ms(about.text, rules.skimming)
    return min(answer.took_ms or inf, about.since_ms) < needed


def _is_straight(answer: Answered, past: list[RecentAnswer], state: QualityState, rules: Quality) -> bool:
    """Return whether a run of one option is too long, given how often everybody chooses it."""
    run, own = 1, 0.0
    for earlier in reversed(past):
        if earlier.question == answer.question:
            if earlier.option != answer.option:
                break
            run += 1
            own += 0.5 ** ((answer.ts - earlier.ts) / (rules.flood_hours * _HOUR_MS))
    whole = state.everything.get(answer.question, Target())
    total = sum(answers.at(answer.ts) for answers in whole.answers.values())
    # Everybody else's share. The prior is seven of ten, so that a short run proves nothing.
    share = (max(0.0, _count(whole.answers, answer) - own) + 7.0) / (max(0.0, total - own) + 10.0)
    return run > 1 and min(share, 0.95) ** run < rules.straight_chance


def _left(answer: Answered, key: tuple[str, str, str], state: QualityState, rules: Quality) -> float:
    """Return how much weight a flood leaves for this answer, 1 if there is none."""
    target, whole = state.targets.get(key), state.everything.get(answer.question)
    if target is None or whole is None:
        return 1.0
    viewers = target.viewers.get(answer.option, {})
    horizon = answer.ts - 2 * rules.flood_hours * _HOUR_MS
    recent = {viewer for viewer, ts in viewers.items() if ts > horizon} | {stable_id(answer.user_id)}
    if len(recent) < rules.flood_viewers:
        return 1.0
    asks, ts = target.asks.at(answer.ts), answer.ts
    # Counted elsewhere, so that a flood is not its own baseline. The prior is one ask and half an answer.
    other_asks = max(0.0, whole.asks.at(ts) - asks) + 1.0
    elsewhere = _count(whole.answers, answer) - _count(target.answers, answer)
    usual = rules.flood_excess * max(asks, 1.0) * (max(0.0, elsewhere) + 0.5) / other_asks
    if _chance_of(_count(target.answers, answer) + 1.0, usual) >= rules.flood_chance:
        return 1.0
    return min(1.0, max(0.0, usual - _count(target.weights, answer)))


def _chance_of(count: float, mean: float) -> float:
    """Return Chernoff's bound of the probability that a Poisson number of this mean is at least `count`."""
    if count <= mean:
        return 1.0
    return exp(count - mean - count * log(count / mean))


def _count(counts: dict[str, DecayedSum], answer: Answered) -> float:
    count = counts.get(answer.option)
    return count.at(answer.ts) if count else 0.0


def _since(past: list[RecentAnswer], ts: float) -> int:
    return sum(earlier.ts > ts for earlier in past)


def _keys(event: Asked | Answered, about: AnswerContext) -> list[tuple[str, str, str]]:
    keys = [(event.question, "item", event.item_id)]
    return [*keys, (event.question, "author", about.author)] if about.author else keys
