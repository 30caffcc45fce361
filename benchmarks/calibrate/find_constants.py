"""Find the constants with which the world reproduces the figures of real_figures.py. Run offline.

    python benchmarks/calibrate/find_constants.py > src/easq/sources/world/calibration.py

Each constant is fitted to its own figure, so they are found one after the other by bisection. No test and no
default run uses the sample's seed. Nothing here depends on a ranking method.
Shapes: N views of the main feed, by viewers U.
"""

import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from pprint import pformat
from typing import Any

import numpy as np
from bisection import bisect
from intercepts import Views, solve

from easq.sources.world import calibration as frozen
from easq.sources.world import real_figures
from easq.sources.world.answering import answer_chance, eligible, level, named_level
from easq.sources.world.calibration import BehaviorLogit, WorldConstants
from easq.sources.world.impulse import tastes_on
from easq.sources.world.lab import PLAY_FIGURES, Guests, draw_guests, play_against_satisfaction, run_session
from easq.sources.world.play import FEED_RATIO_DQ, LEVELS
from easq.sources.world.population import (
    NUM_TOPICS,
    SCENARIOS,
    Viewers,
    make_authors,
    make_items,
    make_viewers,
)
from easq.sources.world.react import (
    FELT_PART,
    ITEM_PART,
    Exposure,
    Surroundings,
    bands,
    expose,
    pull,
    raw_felt,
    raw_pull,
    react,
)
from easq.sources.world.retrieve import Shelf, cumulate_taste, retrieve
from easq.sources.world.watching import PlayTable

SEED = 977
_PEOPLE, _VIEWERS, _PER_VIEWER, _ITEMS = 5000, 16_000, 40, 12_000
# EEG-SVRec, 24 people: 0.501 of the dissatisfied answered 1, 0.783 of the satisfied answered 4.
_LEVELS = (0.416 * 0.501, 0.416, 0.614, 0.614 + 0.386 * 0.783)


def feed(sharpness: float) -> tuple[Viewers, Exposure]:
    """Return viewers, and the items that the main feed shows them on its first day."""
    random, main = np.random.default_rng(SEED), SCENARIOS["main"]
    items = make_items(make_authors(main, _ITEMS // 12, random), main, _ITEMS, 0.0, random)
    viewers = make_viewers(_VIEWERS, random)
    tastes = tastes_on(viewers, main, 0)
    shelf = Shelf.of(np.arange(_ITEMS), items.topic_I, NUM_TOPICS)
    taste_UT = cumulate_taste(tastes.shown_UT, sharpness, shelf)
    item_RC = retrieve(shelf, taste_UT, _PER_VIEWER, main.taste_share, random)
    return viewers, expose(viewers, items, tastes, np.arange(_VIEWERS), item_RC)


def place(known: WorldConstants) -> Surroundings:
    """Return the feed under constants that are not final yet."""
    return Surroundings(PlayTable(FEED_RATIO_DQ, known.pull_levels), felt_shift=known.feed_felt)


def fit_feelings(known: WorldConstants) -> WorldConstants:
    """Fit scales, thresholds (EEG-SVRec's answers) and taste (its personalized against random sessions)."""

    def at(sharpness: float) -> tuple[WorldConstants, Guests]:
        guests, (_, exposure) = draw_guests(_PEOPLE, SEED, sharpness), feed(sharpness)
        felt, pull = raw_felt(guests.exposure), raw_pull(exposure)
        scaled = replace(
            known,
            sharpness=sharpness,
            pull_mean=float(pull.mean()),
            pull_scale=float(ITEM_PART**0.5 / pull.std()),
            felt_mean=float(felt.mean()),
            felt_scale=float(FELT_PART**0.5 / felt.std()),
        )
        return replace(scaled, thresholds=cuts(guests, scaled)), guests

    def gap(sharpness: float) -> float:
        fitted, guests = at(sharpness)
        session = run_session(guests, SEED, fitted)
        means = [session.level_RC[session.personalised_R == side].mean() for side in (True, False)]
        wanted = real_figures.LAB_MEANS["personalised"] - real_figures.LAB_MEANS["random"]
        return float(means[0] - means[1] - wanted)

    return at(bisect(gap, 0.0, 4.0))[0]


def cuts(guests: Guests, known: WorldConstants) -> tuple[float, ...]:
    """Return the thresholds that give EEG-SVRec's shares of levels."""
    low, high = -6.0, 6.0
    random = np.random.default_rng(SEED)
    felt_RC = run_session(guests, SEED, known).reactions.felt_RC
    style_RC = np.broadcast_to(guests.style_R[:, None], felt_RC.shape)

    def share_at_most(cut: float) -> float:
        one = replace(known, thresholds=(cut, high, high, high))
        return float((named_level(felt_RC, style_RC, random, one) == 0).mean())

    def above(share: float) -> Callable[[float], float]:
        return lambda cut: share_at_most(cut) - share

    return tuple(bisect(above(share), low, high, 16) for share in _LEVELS)


def fit_mood(known: WorldConstants) -> WorldConstants:
    """Fit how mood keeps viewers watching to EEG-SVRec's play ratios by satisfaction, in tolerances."""
    guests = draw_guests(_PEOPLE, SEED, known.sharpness)
    wanted = [
        (f.name, f.value, f.tolerance)
        for f in real_figures.LAB
        if f.name in PLAY_FIGURES and f.group != "like by satisfaction"
    ]

    def error(shared_cap: tuple[float, float]) -> float:
        tried = fit_pull(replace(known, mood_shared=shared_cap[0], mood_cap=shared_cap[1]))
        figures = play_against_satisfaction(run_session(guests, SEED, tried))
        return sum(((figures[name] - value) / tolerance) ** 2 for name, value, tolerance in wanted)

    tried = [(s, c) for s in (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0) for c in (0.0, 0.25, 0.5, 0.75, 1.0)]
    shared, cap = min(tried, key=error)
    return fit_pull(replace(known, mood_shared=shared, mood_cap=cap))


def fit_pull(known: WorldConstants) -> WorldConstants:
    """Find the quantiles of the pull among the feed's views and among the laboratory's."""
    levels = [float(x) for x in LEVELS.split()]

    def quantiles(exposure: Exposure) -> tuple[float, ...]:
        drawn = np.random.default_rng(SEED).standard_normal((2, *exposure.interest_RC.shape), np.float32)
        return tuple(np.quantile(pull(exposure, drawn[0], drawn[1], known), levels).tolist())

    _, exposure = feed(known.sharpness)
    guests = draw_guests(_PEOPLE, SEED, known.sharpness)
    return replace(known, pull_levels=quantiles(exposure), lab_pull_levels=quantiles(guests.exposure))


def fit_feed(known: WorldConstants) -> WorldConstants:
    """Fit how content viewers are in the feed: as EEG-SVRec's people with the same play ratios.

    A third of a standard error below theirs: a share p of satisfied answers allows their behavior to be
    at most 1 / p of the average. The paper's follows (1.80) want fewer satisfied, its likes (1.46) more.
    """
    viewers, exposure = feed(known.sharpness)
    style_RC = np.broadcast_to(viewers.answer_style_U[:, None], exposure.interest_RC.shape)

    def error(shift: float) -> float:
        tried = replace(known, feed_felt=shift)
        random = np.random.default_rng(SEED)
        reactions = react(exposure, random, place(tried), tried)
        satisfied = float((named_level(reactions.felt_RC, style_RC, random, tried) >= 3).mean())
        band_RC = np.searchsorted(real_figures.LAB_RATIO_EDGES, reactions.ratio_RC, side="right")
        wanted = np.array(real_figures.LAB_SATISFIED) - np.array(real_figures.LAB_SATISFIED_ERROR) / 3
        return satisfied - float(wanted[band_RC].mean())

    return replace(known, feed_felt=bisect(error, -3.0, 1.0))


def fit_responses(known: WorldConstants) -> WorldConstants:
    """Fit who answers to Wikimedia's response by truth, with mean 1 over the feed's eligible views."""
    _, exposure = feed(known.sharpness)
    reactions = react(exposure, np.random.default_rng(SEED), place(known), known)
    felt = reactions.felt_RC[eligible(reactions.play_s_RC, reactions.ratio_RC)]
    levels, wanted = level(felt, known), np.log(real_figures.RESPONSE)
    wanted -= wanted.mean()

    def error(slope: float) -> float:
        chance = np.exp(-slope * felt)
        response = np.log([chance[levels == k].mean() for k in range(5)])
        return float(((response - response.mean() - wanted) ** 2 * real_figures.IMPRESSIONS).sum())

    slope = float(min(np.linspace(0, 0.4, 201), key=error))
    return replace(known, response_slope=slope, response_scale=float(1 / np.exp(-slope * felt).mean()))


def fit_lab_like(known: WorldConstants) -> WorldConstants:
    """Fit how freely people like in the laboratory to EEG-SVRec's mean rate of likes."""
    guests = draw_guests(_PEOPLE, SEED, known.sharpness)
    shares = np.diff([0, *_LEVELS, 1])
    wanted = float(shares @ real_figures.LAB_LIKE)
    return replace(
        known,
        lab_like=bisect(
            lambda x: (
                float(run_session(guests, SEED, replace(known, lab_like=x)).reactions.did["like"].mean())
                - wanted
            ),
            0.0,
            8.0,
        ),
    )


def fit_behaviors(known: WorldConstants) -> WorldConstants:
    """Fit each behavior's logit on the expected behavior of the main feed's views."""
    viewers, exposure = feed(known.sharpness)
    random = np.random.default_rng(SEED)
    reactions = react(exposure, random, place(known), known)
    style_RC = np.broadcast_to(viewers.answer_style_U[:, None], reactions.felt_RC.shape)
    answer_RC = np.digitize(named_level(reactions.felt_RC, style_RC, random, known), [1.5, 2.5])
    views = Views(
        band_N=bands(reactions.ratio_RC).ravel(),
        length_N=exposure.length_RC.ravel(),
        content_N=(reactions.felt_RC + style_RC).ravel(),
        habit_N=np.repeat(exposure.habit_R, _PER_VIEWER),
        user_N=np.repeat(np.arange(_VIEWERS), _PER_VIEWER),
        eligible_N=eligible(reactions.play_s_RC, reactions.ratio_RC).ravel(),
        answer_N=answer_RC.ravel(),
        weight_N=answer_chance(reactions.felt_RC, 0.01, known).ravel(),
    )
    behaviors, by_length = solve(views)
    return replace(known, behaviors=behaviors, like_by_length=by_length)


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, tuple):
        return tuple(_round(v) for v in value)
    if isinstance(value, BehaviorLogit):
        return BehaviorLogit(**{k: _round(v) for k, v in vars(value).items()})
    if isinstance(value, dict):
        return {k: _round(v) for k, v in value.items()}
    return value


def main() -> None:
    """Print the module of constants."""
    known = frozen.CALIBRATION
    for fit in (fit_feelings, fit_mood, fit_feed, fit_responses, fit_behaviors, fit_lab_like):
        known = fit(known)
    values = {name: _round(float(v) if isinstance(v, np.floating) else v) for name, v in vars(known).items()}
    source = inspect.getsource(frozen).split("CALIBRATION = ")[0]
    sys.stdout.write(f"{source}CALIBRATION = {pformat(WorldConstants(**values))}\n")


if __name__ == "__main__":
    main()
