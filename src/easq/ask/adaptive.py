"""Ask where an answer teaches most: pure functions over the answers about each group so far.

A group is an author, or an item without one. Each group's satisfaction rate has a Beta posterior whose
pseudo-counts decay with a half-life. One draw from it (Thompson sampling) says how much the next answer would
teach. After MoPPS (arXiv 2507.04632), which chooses training prompts this way. MoPPS takes the draw nearest
a half; here the sampling rate follows the draw, so that every view keeps a known probability.
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import msgspec

from easq.ask.decayed_sum import DecayedSum
from easq.ask.recent import add_answer, forget_oldest, renew
from easq.log.events import Answered

PRIOR = 1.0
"""Pseudo-answers of either kind before there is any answer: a uniform prior over shares."""

_BITS = 1 << 53  # the resolution of a sticky draw


class BeliefAnswer(NamedTuple):
    """One answer of a viewer. `worth` is 0 for the worst option and 1 for the best."""

    ts: int
    group: str
    worth: float
    weight: float


class Belief(NamedTuple):
    """Decayed sums of the good and the bad shares of a group's answers."""

    good: float
    bad: float


class Beliefs(msgspec.Struct):
    """Answers summed by group, and each viewer's own answers, which are left out of that viewer's rates."""

    good: dict[str, DecayedSum] = {}
    bad: dict[str, DecayedSum] = {}
    viewers: dict[str, list[BeliefAnswer]] = {}


class Teaching(msgspec.Struct, frozen=True):
    """What one more answer about a group would teach: `gain` is at most 1, for an unknown group."""

    group: str
    belief: Belief
    drawn: float
    gain: float


def group_of(item_id: str, author: str) -> str:
    """Return the group of an item. Authors and items of the same name are different groups.

    >>> group_of("i1", ""), group_of("i1", "i1")
    ('item i1', 'author i1')
    """
    return f"author {author}" if author else f"item {item_id}"


def observe(
    beliefs: Beliefs, answer: Answered, group: str, options: Sequence[str], half_life_ms: float
) -> None:
    """Add an answer from the log with its weight. An answer that is not one of the options is ignored."""
    if answer.option not in options:
        return
    worth = options.index(answer.option) / (len(options) - 1)
    for sums, part in ((beliefs.good, worth), (beliefs.bad, 1 - worth)):
        renew(sums, group, DecayedSum()).add(answer.ts, part * answer.weight, half_life_ms)
        forget_oldest(sums)
    add_answer(beliefs.viewers, answer.user_id, BeliefAnswer(answer.ts, group, worth, answer.weight))


def believed(beliefs: Beliefs, group: str, user_id: str, now_ms: int, half_life_ms: float) -> Belief:
    """Return the belief about a group from the answers of everybody else.

    A viewer's own answers depend on the viewer's own draws. A rate that depended on them would make the
    propensity wrong.
    """
    good, bad = (sums[group].at(now_ms) if group in sums else 0.0 for sums in (beliefs.good, beliefs.bad))
    for answer in beliefs.viewers.get(user_id, ()):
        if answer.group == group:
            left = answer.weight * 0.5 ** (max(0, now_ms - answer.ts) / half_life_ms)
            good, bad = good - answer.worth * left, bad - (1 - answer.worth) * left
    return Belief(max(0.0, good), max(0.0, bad))


def teaching(group: str, belief: Belief, sample: float) -> Teaching:
    """Return what an answer would teach. The view's own draw in [0, 1) chooses a share from the belief.

    The gain is the variance of the share of good answers at the drawn share, relative to its maximum, which
    is reached without answers.
    """
    drawn = Random(int(sample * _BITS)).betavariate(PRIOR + belief.good, PRIOR + belief.bad)
    known = 2 * PRIOR + 1
    gain = 4 * drawn * (1 - drawn) * known / (known + belief.good + belief.bad)
    return Teaching(group, belief, drawn, gain)


def mixed(rate: float, floor: float, gain: float) -> float:
    """Return the rate of a view: the part `floor` is the same for all views, the rest is scaled by `gain`.

    So 1 / propensity is at most 1 / floor times its value without this policy.
    """
    return rate * (floor + (1 - floor) * gain)
