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
_FLOODED = 0.1  # weight of all other answers of a viewer who took part in a flood and answers nearly all asks
_EAGER = 0.1  # who answers so many asks that chance does so less often answers nearly all
_RARE = 0.05  # least part of all answers that an option has, so that a rare one silences nobody
_KNOWN_FOR = 2  # earlier answers about others than the target that make a viewer known
_KNOWN = "\x1fknown"  # ends the group of known viewers; no name of a question holds it
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
    """One remembered answer of a viewer; `target` is a digest of the author or the item."""

    ts: int
    question: str
    option: str
    is_flood: bool = False
    target: int = 0


class Target(msgspec.Struct):
    """Counts about one author or item: asks and, by option, answers, their weights and their viewers."""

    asks: DecayedSum = msgspec.field(default_factory=DecayedSum)
    answers: dict[str, DecayedSum] = {}
    weights: dict[str, DecayedSum] = {}
    viewers: dict[str, dict[int, int]] = {}


class QualityState(msgspec.Struct):
    """Recent answers by viewer, decayed asks by viewer, and by group the counts about each target.

    A group is a question's known viewers, or its others. A target's key is group, kind and name; `everything`
    holds each group's sums.
    """

    viewers: dict[str, list[RecentAnswer]] = {}
    asked: dict[str, DecayedSum] = {}
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
    if any(earlier.is_flood for earlier in past) and _is_eager(answer, past, state, rules):
        flags.append(FLOODER)
        weight *= _FLOODED
    if _since(past, answer.ts - _DAY_MS) >= rules.max_per_day:
        flags.append(LIMIT)
        weight = 0.0
    group = _group(answer, state, about)
    left = min(_left(answer, group, key, state, rules) for key in _keys(answer, group, about))
    if left < 1:
        flags.append(FLOOD)
        weight = min(weight, left)
    return AnswerWeight(round(weight, 6), flags)


def observe(event: Asked | Answered, state: QualityState, rules: Quality, about: AnswerContext) -> None:
    """Add an ask, or an answer with its weight."""
    group = _group(event, state, about)
    whole = state.everything.setdefault(group, Target())
    targets = [renew(state.targets, key, Target()) for key in _keys(event, group, about)]
    _count_in([whole, *targets], event, rules, 1.0)
    if isinstance(event, Asked):
        asked = renew(state.asked, event.user_id, DecayedSum())
        asked.add(event.ts, 1.0, rules.flood_hours * _HOUR_MS)
        forget_oldest(state.asked)
    else:
        for target in targets:
            viewers = target.viewers.setdefault(event.option, {})
            viewers[stable_id(event.user_id)] = event.ts
            forget_oldest(viewers, _MAX_VIEWERS)
        answer = _remembered(event, about)
        add_answer(state.viewers, event.user_id, answer, max(MAX_ANSWERS, rules.max_per_day))
    forget_oldest(state.targets)


def withdraw(answer: Answered, state: QualityState, rules: Quality, about: AnswerContext) -> None:
    """Take back an observed answer that was not written. Of a flood it stays one of the viewers."""
    past = state.viewers.get(answer.user_id, [])
    if _remembered(answer, about) in past:
        past.remove(_remembered(answer, about))
    group = _group(answer, state, about)
    targets = [state.targets[key] for key in _keys(answer, group, about) if key in state.targets]
    _count_in([state.everything.setdefault(group, Target()), *targets], answer, rules, -1.0)


def _count_in(targets: list[Target], event: Asked | Answered, rules: Quality, times: float) -> None:
    half_life_ms = rules.flood_hours * _HOUR_MS
    for target in targets:
        if isinstance(event, Asked):
            target.asks.add(event.ts, times, half_life_ms)
            continue
        for counts, amount in ((target.answers, 1.0), (target.weights, event.weight)):
            counts.setdefault(event.option, DecayedSum()).add(event.ts, times * amount, half_life_ms)


def _remembered(answer: Answered, about: AnswerContext) -> RecentAnswer:
    is_flood, target = FLOOD in answer.flags, _target(answer, about)
    return RecentAnswer(answer.ts, answer.question, answer.option, is_flood, target)


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
    groups = (answer.question, answer.question + _KNOWN)
    wholes = [state.everything[group] for group in groups if group in state.everything]
    total = sum(answers.at(answer.ts) for whole in wholes for answers in whole.answers.values())
    chosen = sum(_count(whole.answers, answer.option, answer.ts) for whole in wholes)
    # Everybody else's share. The prior is seven of ten, so that a short run proves nothing.
    share = (max(0.0, chosen - own) + 7.0) / (max(0.0, total - own) + 10.0)
    return run > 1 and min(share, 0.95) ** run < rules.straight_chance


def _is_eager(answer: Answered, past: list[RecentAnswer], state: QualityState, rules: Quality) -> bool:
    """Return whether a viewer answers nearly all asks, where others answer few."""
    half_life_ms, ts = rules.flood_hours * _HOUR_MS, answer.ts
    own = 1.0 + sum(0.5 ** (max(0.0, ts - earlier.ts) / half_life_ms) for earlier in past)
    wholes = list(state.everything.values())
    asks = sum(whole.asks.at(ts) for whole in wholes)
    answers = sum(count.at(ts) for whole in wholes for count in whole.answers.values())
    own_asks = state.asked[answer.user_id].at(ts) if answer.user_id in state.asked else 0.0
    share = (max(0.0, answers - own) + 0.5) / (max(0.0, asks - own_asks) + 1.0)
    return _chance_of(own, max(own_asks, 1.0) * share) < _EAGER


def _left(
    answer: Answered, group: str, key: tuple[str, str, str], state: QualityState, rules: Quality
) -> float:
    """Return the part that a flood leaves of an answer, 1 if there is none.

    It is the same for every option, so that no flood moves what the target's other viewers say on the whole.
    """
    target, whole = state.targets.get(key), state.everything.get(group)
    if target is None or whole is None:
        return 1.0
    asks, ts = target.asks.at(answer.ts), answer.ts
    # Counted elsewhere, so that a flood is not its own baseline. The prior is one ask and half an answer.
    other_asks = max(0.0, whole.asks.at(ts) - asks) + 1.0
    all_elsewhere = sum(_count(whole.answers, o, ts) - _count(target.answers, o, ts) for o in whole.answers)
    least = _RARE * max(0.0, all_elsewhere)
    left = 1.0
    for option in {answer.option, *target.answers}:
        viewers = target.viewers.get(option, {})
        horizon = ts - 2 * rules.flood_hours * _HOUR_MS
        recent = {viewer for viewer, since in viewers.items() if since > horizon}
        count = _count(target.answers, option, ts)
        elsewhere = _count(whole.answers, option, ts) - count
        if option == answer.option:
            recent.add(stable_id(answer.user_id))
            count += 1.0
        usual = rules.flood_excess * max(asks, 1.0) * (max(least, elsewhere) + 0.5) / other_asks
        is_flood = len(recent) >= rules.flood_viewers and _chance_of(count, usual) < rules.flood_chance
        left = min(left, usual / count) if is_flood else left
    return left


def _chance_of(count: float, mean: float) -> float:
    """Return Chernoff's bound of the probability that a Poisson number of this mean is at least `count`."""
    if count <= mean:
        return 1.0
    return exp(count - mean - count * log(count / mean))


def _count(counts: dict[str, DecayedSum], option: str, ts: int) -> float:
    count = counts.get(option)
    return count.at(ts) if count else 0.0


def _since(past: list[RecentAnswer], ts: float) -> int:
    return sum(earlier.ts > ts for earlier in past)


def _group(event: Asked | Answered, state: QualityState, about: AnswerContext) -> str:
    """Return the group of an event's viewer: known for earlier answers about others, or not.

    A crowd that comes for one author is not known, so it is measured apart from viewers who are.
    """
    target = _target(event, about)
    others = {e.target for e in state.viewers.get(event.user_id, ()) if not e.is_flood and e.target != target}
    return event.question + _KNOWN if len(others) >= _KNOWN_FOR else event.question


def _target(event: Asked | Answered, about: AnswerContext) -> int:
    return stable_id(about.author or event.item_id)


def _keys(event: Asked | Answered, group: str, about: AnswerContext) -> list[tuple[str, str, str]]:
    keys = [(group, "item", event.item_id)]
    return [*keys, (group, "author", about.author)] if about.author else keys
