"""Solve the logits of behaviors so that expected rates equal the real ones, band by band.

Shapes: N views, U viewers.
"""

from dataclasses import dataclass, replace

import numpy as np
from bisection import bisect
from numpy.typing import NDArray

from easq.arrays import F32, I64, Anything, Bool
from easq.sources.world import real_figures
from easq.sources.world.calibration import BehaviorLogit
from easq.sources.world.react import HABIT

# By band, from the 68,763 main-feed views of KuaiRand-Pure's validation period, scaled to the rates of
# all 173,008. No figures by band are published for these two.
_FORWARD = tuple(1.09 * x for x in (0.00017, 0.00061, 0.0012, 0.00176, 0.00146, 0.0056))
_PROFILE = tuple(0.935 * x for x in (0.0095, 0.0095, 0.0153, 0.0328, 0.0654, 0.0491))
RATES = {**real_figures.BY_RATIO, "forward": _FORWARD, "profile_enter": _PROFILE}
# Free: hate decreases and a visit to the profile increases with what is felt.
_FREE_SLOPES = {"hate": -0.8, "profile_enter": 0.3}


# Free: where a behavior stops growing with what is felt, if only one figure sets its slope.
_TURN = 1.0
# The targets of the slopes: within the tolerances of EASQ's later behavior, and away from the figure if
# another one conflicts. EEG-SVRec's likes at level 5 (0.79) need steeper likes among the satisfied than
# 1.46. Follows reach at most 1.8 with the dissatisfied at their lower bound.
_SATISFIED = {**real_figures.LATER["satisfied"], "like": 1.54}
_DISSATISFIED = {"like": 0.20, "follow": 0.10}


@dataclass(frozen=True)
class Views:
    """The inputs of the logits, and the answer that a viewer would give: 0, 1 or 2, with a weight."""

    band_N: NDArray[np.int8]
    length_N: I64
    content_N: F32
    habit_N: F32
    user_N: I64
    eligible_N: Bool
    answer_N: I64
    weight_N: F32


def solve(views: Views) -> tuple[dict[str, BehaviorLogit], tuple[float, ...]]:
    """Return every behavior's logit, and the like's offset by class of duration."""
    by_length, like = np.zeros(len(real_figures.DURATIONS)), BehaviorLogit((-4.0,) * 6, 3.0, 0.9, 0.0)
    for turn in range(8):
        offset = by_length[views.length_N]
        # Slopes hardly depend on the duration's terms, so they are fitted only twice.
        fit = _with_slopes if turn in (3, 7) else _with_rates
        like = fit(views, "like", like, offset, None)
        rates = _means(views.length_N, _chance(views, "like", like, offset), len(by_length))
        by_length += [
            _logit(w) - _logit(r) for w, r in zip(real_figures.LIKE_BY_DURATION, rates, strict=True)
        ]
    offset = by_length[views.length_N]
    like = _with_rates(views, "like", like, offset, None)
    liked_N = _chance(views, "like", like, offset)
    logits = {"like": like}
    for name in HABIT:
        if name != "like":
            logits[name] = _with_slopes(views, name, BehaviorLogit((-7.0,) * 6, 1.0, 0.0, 1.0), 0.0, liked_N)
    return {name: logits[name] for name in HABIT}, tuple(by_length.tolist())


def _means(place_N: NDArray[np.integer], value_N: Anything, num: int) -> list[float]:
    return list((np.bincount(place_N, value_N, num) / np.bincount(place_N, minlength=num)).tolist())


def _with_slopes(
    views: Views, name: str, start: BehaviorLogit, offset: Anything | float, liked_N: Anything | None
) -> BehaviorLogit:
    """Fit slopes to later behavior by answer (EASQ), and everything else again at each step."""

    def at(low: float, high: float, turn: float) -> BehaviorLogit:
        return _with_liked(views, name, replace(start, low=low, high=high, turn=turn), offset, liked_N)

    if name in _FREE_SLOPES:
        return at(_FREE_SLOPES[name], _FREE_SLOPES[name], 0.0)
    satisfied, dissatisfied = _SATISFIED[name], _DISSATISFIED.get(name)

    def later(behavior: BehaviorLogit, answer: int) -> float:
        chance_N = _chance(views, name, behavior, offset)
        if liked_N is not None:
            after_N = _chance(views, name, behavior, offset, behavior.liked)
            chance_N = chance_N * (1 - liked_N) + after_N * liked_N
        return relative(views, chance_N, answer)

    def low_for(high: float, turn: float) -> float:
        """Return the slope below the turn that gives the figure of dissatisfied answers."""
        assert dissatisfied is not None
        return bisect(lambda x: dissatisfied - later(at(x, high, turn), 0), 0.0, 8.0)

    if dissatisfied is None:
        low = bisect(lambda x: later(at(x, 0.0, _TURN), 2) - satisfied, 0.0, 5.0)
        return at(low, 0.0, _TURN)
    if name == "like":
        high = bisect(lambda x: later(at(low_for(x, 0.0), x, 0.0), 2) - satisfied, 0.0, 2.0, 8)
        return at(low_for(high, 0.0), high, 0.0)
    # Later behavior rises with the turn and falls again: take the best of a few.
    tried = [at(low_for(0.0, turn), 0.0, turn) for turn in (0.8, 1.1, 1.4, 1.7)]
    return min(tried, key=lambda behavior: abs(later(behavior, 2) - satisfied))


def _with_liked(
    views: Views, name: str, start: BehaviorLogit, offset: Anything | float, liked_N: Anything | None
) -> BehaviorLogit:
    wanted = real_figures.GIVEN.get((name, "like"))
    if wanted is None or liked_N is None:
        return _with_rates(views, name, start, offset, None)
    logit = replace(start, liked=0.0)

    def error(liked: float) -> float:
        nonlocal logit
        logit = _with_rates(views, name, replace(logit, liked=liked), offset, liked_N)
        after_N = _chance(views, name, logit, offset, liked)
        return float((after_N * liked_N).sum() / liked_N.sum()) - wanted[0]

    liked = bisect(error, -1.0, 6.0, 9)
    return _with_rates(views, name, replace(logit, liked=liked), offset, liked_N)


def _with_rates(
    views: Views, name: str, start: BehaviorLogit, offset: Anything | float, liked_N: Anything | None
) -> BehaviorLogit:
    """Shift each band's logit until its rate equals the real one."""
    logits = np.array(start.by_ratio)
    for _ in range(4):
        behavior = replace(start, by_ratio=tuple(logits.tolist()))
        chance_N = _chance(views, name, behavior, offset)
        if liked_N is not None:
            chance_N = (
                chance_N * (1 - liked_N) + _chance(views, name, behavior, offset, start.liked) * liked_N
            )
        rates = _means(views.band_N, chance_N, len(logits))
        logits += [_logit(w) - _logit(r) for w, r in zip(RATES[name], rates, strict=True)]
    return replace(start, by_ratio=tuple(logits.tolist()))


def _chance(
    views: Views, name: str, behavior: BehaviorLogit, offset: Anything | float, liked: float = 0.0
) -> Anything:
    logit_N = np.array(behavior.by_ratio)[views.band_N] + HABIT[name] * views.habit_N + offset + liked
    above_N = views.content_N - behavior.turn
    logit_N += behavior.low * np.minimum(above_N, 0) + behavior.high * np.maximum(above_N, 0)
    return np.asarray(1 / (1 + np.exp(-logit_N)))


def relative(views: Views, chance_N: Anything, answer: int) -> float:
    """Return the rate of a behavior by answer, relative to the viewers' other eligible views."""
    eligible_N = views.eligible_N
    user_N, chance_N = views.user_N[eligible_N], chance_N[eligible_N]
    num_U, sum_U = np.bincount(user_N), np.bincount(user_N, chance_N)
    other_N = (sum_U[user_N] - chance_N) / np.maximum(num_U[user_N] - 1, 1)
    weight_N = views.weight_N[eligible_N] * (views.answer_N[eligible_N] == answer) * (num_U[user_N] > 1)
    return float((weight_N * chance_N).sum() / (weight_N * other_N).sum())


def _logit(p: float) -> float:
    return float(np.log(p / (1 - p)))
