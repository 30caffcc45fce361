"""Ask where an answer teaches most: pure functions over what answers have said of each group so far.

A group is an author, or an item without one. What is believed of its satisfaction is a Beta distribution that
its answers narrow, and that widens again as they fade; one draw from it (Thompson sampling) says what the
next answer would teach. After MoPPS (arXiv 2507.04632), which chooses prompts for training so; there the
draw nearest a half is taken, here the sampling rate follows it, so that every view keeps a known chance.
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import msgspec

from easq.ask.decayed_sum import DecayedSum
from easq.ask.recent import add_answer, forget_oldest, renew
from easq.log.events import Answered

PRIOR = 1.0
"""Answers of either kind that are believed in before there is any: all shares are as likely."""

_BITS = 1 << 53  # as many as a sticky draw has


class BeliefAnswer(NamedTuple):
    """One answer of a viewer: 0 is the worst option and 1 the best; `weight` is what it counts."""

    ts: int
    group: str
    worth: float
    weight: float


class Belief(NamedTuple):
    """Answers about a group, as far as they have not faded: how much of them is good, and bad."""

    good: float
    bad: float


class Beliefs(msgspec.Struct):
    """What answers said by group, and what each viewer said, which is left out of that viewer's own rates."""

    good: dict[str, DecayedSum] = {}
    bad: dict[str, DecayedSum] = {}
    viewers: dict[str, list[BeliefAnswer]] = {}


class Teaching(msgspec.Struct, frozen=True):
    """What one more answer about a group is taken to teach: at most 1, where nothing is known of it."""

    group: str
    belief: Belief
    drawn: float
    gain: float


def group_of(item_id: str, author: str) -> str:
    """Return the group of an item; an author's name and an item's do not meet.

    >>> group_of("i1", ""), group_of("i1", "i1")
    ('item i1', 'author i1')
    """
    return f"author {author}" if author else f"item {item_id}"


def observe(
    beliefs: Beliefs, answer: Answered, group: str, options: Sequence[str], half_life_ms: float
) -> None:
    """Take an answer from the log, for what it weighs; one that is none of the options says nothing."""
    if answer.option not in options:
        return
    worth = options.index(answer.option) / (len(options) - 1)
    for sums, part in ((beliefs.good, worth), (beliefs.bad, 1 - worth)):
        renew(sums, group, DecayedSum()).add(answer.ts, part * answer.weight, half_life_ms)
        forget_oldest(sums)
    add_answer(beliefs.viewers, answer.user_id, BeliefAnswer(answer.ts, group, worth, answer.weight))


def believed(beliefs: Beliefs, group: str, user_id: str, now_ms: int, half_life_ms: float) -> Belief:
    """Return what everybody else's answers say of a group.

    A viewer's own answers came of the viewer's own draws. A rate that depended on them would make the
    propensity wrong.
    """
    good, bad = (kept[group].at(now_ms) if group in kept else 0.0 for kept in (beliefs.good, beliefs.bad))
    for said in beliefs.viewers.get(user_id, ()):
        if said.group == group:
            left = said.weight * 0.5 ** (max(0, now_ms - said.ts) / half_life_ms)
            good, bad = good - said.worth * left, bad - (1 - said.worth) * left
    return Belief(max(0.0, good), max(0.0, bad))


def teaching(group: str, belief: Belief, sample: float) -> Teaching:
    """Return what an answer would teach, with the view's own draw in [0, 1) choosing what is believed.

    It is the variance that the share of good answers would have were it the drawn one, against the most
    that it can be, which is with no answers.
    """
    drawn = Random(int(sample * _BITS)).betavariate(PRIOR + belief.good, PRIOR + belief.bad)
    known = 2 * PRIOR + 1
    gain = 4 * drawn * (1 - drawn) * known / (known + belief.good + belief.bad)
    return Teaching(group, belief, drawn, gain)


def mixed(rate: float, floor: float, gain: float) -> float:
    """Return the rate of a view: `floor` of it is for all alike, the rest goes with what is to be learned.

    So 1 / propensity is at most 1 / floor times what it is without this policy.
    """
    return rate * (floor + (1 - floor) * gain)
