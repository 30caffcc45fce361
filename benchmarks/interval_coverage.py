"""Coverage of intervals of mean satisfaction over repeated draws.

The views are given and so is what each viewer would say: the truth is the share of askable views whose
viewer would say satisfied. What varies is who is asked and, in `who_answers`, who answers. So the coverage is
that of the design (Särndal, Swensson and Wretman 1992), whatever the world.

Shapes: V eligible views, A answered ones, G viewers of them, P covariates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from asking_study import RULE, SATISFIED, VIEWERS, Redraw, Views, run

from easq.arrays import F64, I64, Bool
from easq.ask.policy import Rule
from easq.prove.answers.response_model import fit, tilted, weights
from easq.sources.world.answering import answer_chance

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Estimate:
    """A mean with the half-width of its 95 % interval."""

    mean: float
    half_width: float

    def covers(self, truth: float) -> bool:
        """Return whether the interval holds the truth."""
        return abs(self.mean - truth) <= self.half_width


def weighted_mean(said_A: F64, weight_A: F64, viewer_A: I64) -> Estimate:
    """Return a weighted mean (Hájek 1971) with the linearized variance of viewers drawn independently."""
    total = float(weight_A.sum())
    mean = float(weight_A @ said_A) / total
    _, place_A = np.unique(viewer_A, return_inverse=True)
    residual_G = np.bincount(place_A, weight_A * (said_A - mean))
    return Estimate(mean, _Z * float(residual_G @ residual_G) ** 0.5 / total)


@dataclass
class Coverage:
    """Of one estimator: the share of intervals that hold the truth, mean error and mean half-width."""

    draws: int = 0
    covered: float = 0.0
    error: float = 0.0
    half_width: float = 0.0

    def add(self, found: Estimate, truth: float) -> None:
        """Count one draw."""
        self.draws += 1
        for name, value in (
            ("covered", float(found.covers(truth))),
            ("error", found.mean - truth),
            ("half_width", found.half_width),
        ):
            setattr(self, name, getattr(self, name) + (value - getattr(self, name)) / self.draws)


def asking(views: Views, draws: int, seed: int = 1) -> Iterator[dict[str, Coverage]]:
    """Yield, draw after draw, the coverages so far of weighted and plain means of the asked views.

    Every ask is answered. `whole` is of all views, `part` of the views of one world each.
    """
    rule = Rule.of(RULE)
    propensity_V = run(rule, views, seed).propensity_V
    said_V = (views.option_V == SATISFIED).astype(np.float64)
    part_V = views.user_V // VIEWERS
    truth_of = np.bincount(part_V, said_V) / np.bincount(part_V)
    found = {f"{kind}/{size}": Coverage() for size in ("whole", "part") for kind in ("weighted", "plain")}
    redraw = Redraw(rule, views)
    for number in range(draws):
        asked_V = redraw.asked(seed + number)
        said_A, viewer_A, part_A = said_V[asked_V], views.user_V[asked_V], part_V[asked_V]
        for kind, weight_A in (("weighted", 1 / propensity_V[asked_V]), ("plain", np.ones(len(said_A)))):
            found[f"{kind}/whole"].add(weighted_mean(said_A, weight_A, viewer_A), float(said_V.mean()))
            for part, truth in enumerate(truth_of.tolist()):
                own = part_A == part
                estimate = weighted_mean(said_A[own], weight_A[own], viewer_A[own])
                found[f"{kind}/part"].add(estimate, truth)
        yield found


def who_answers(
    views: Views, draws: int, answer_rate: float, ratios: Sequence[float], seed: int = 1
) -> Iterator[tuple[dict[str, Coverage], float]]:
    """Yield coverages where few answer, the annoyed more readily, and the mean number of answers.

    `plain` weighs all answers alike, `asked` by the chance of the ask, `behavior` by the chance of an answer
    as well, modeled from the view and the behavior in it. Each of `ratios` goes on from there: the worst
    option is taken to be answered so many times as readily as the best among views that look alike. `band` is
    from the lowest to the highest end of the intervals of `behavior` and of all ratios.
    """
    rule = Rule.of(RULE)
    propensity_V = run(rule, views, seed).propensity_V
    said_V = (views.option_V == SATISFIED).astype(np.float64)
    truth = float(said_V.mean())
    chance_V = answer_chance(views.felt_V.astype(np.float32), answer_rate)
    found: dict[str, Coverage] = {}
    redraw, answers = Redraw(rule, views), 0
    for number in range(draws):
        asked_V = redraw.asked(seed + number)
        random = np.random.default_rng([seed + number, 9])
        answered_V = asked_V & (random.random(len(asked_V)) < chance_V)
        answers += int(answered_V.sum())
        means = {
            name: weighted_mean(said_V[answered_V], weight_A, views.user_V[answered_V])
            for name, weight_A in _weights(views, propensity_V, asked_V, answered_V, ratios).items()
        }
        means["band"] = _hull([means["behavior"], *(means[_name(ratio)] for ratio in ratios)])
        for name, estimate in means.items():
            found.setdefault(name, Coverage()).add(estimate, truth)
        yield found, answers / (number + 1)


def readiness(views: Views) -> float:
    """Return how many times as readily the worst option is answered as the best: the world's own ratio."""
    chance_V = answer_chance(views.felt_V.astype(np.float32), 0.01)
    return float(chance_V[views.option_V == 0].mean() / chance_V[views.option_V == SATISFIED].mean())


def _weights(
    views: Views, propensity_V: F64, asked_V: Bool, answered_V: Bool, ratios: Sequence[float]
) -> dict[str, F64]:
    asked_A = 1 / propensity_V[answered_V]
    answered_N = answered_V[asked_V]
    seen_NP = views.seen_VP[asked_V]
    behavior_A = asked_A * weights(fit(seen_NP, answered_N).chance_N)[answered_N]
    worth_A = views.option_V[answered_V] / SATISFIED
    seen_AP = seen_NP[answered_N]
    tilts = {_name(ratio): behavior_A * tilted(seen_AP, worth_A, ratio) for ratio in ratios}
    return {"plain": np.ones(len(asked_A)), "asked": asked_A, "behavior": behavior_A, **tilts}


def _name(ratio: float) -> str:
    return f"ratio {ratio:.3g}"


def _hull(found: Sequence[Estimate]) -> Estimate:
    low = min(one.mean - one.half_width for one in found)
    high = max(one.mean + one.half_width for one in found)
    return Estimate((low + high) / 2, (high - low) / 2)
