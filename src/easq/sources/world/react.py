"""What viewers would do with given items, and what they feel: pure functions on arrays.

Shapes: R viewers (one row each), C items of each. Serving and returning are not decided here: a closed
loop serves its own items and calls the same functions.
"""

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, I64, Bool
from easq.sources.world.calibration import CALIBRATION, WorldConstants
from easq.sources.world.impulse import Impulse, Tastes
from easq.sources.world.population import Catalogue, Viewers
from easq.sources.world.real_figures import RATIO_EDGES
from easq.sources.world.watching import CLICK_S, FEED, LONG_VIEW_S, PlayTable, watched_for

# Free: what pulls and what is felt, relative to each other. Bait pulls and is regretted.
_PULL = (0.65, 0.4, 1.3)
_FELT = (1.0, 0.5, -1.8)
# Free: where behaviors are silent, bait is liked by as much as it pulls.
_LIKED_BAIT = _PULL[2]
# Viewers' patience has .18 of the pull's variance (population.py); the items' part is free.
ITEM_PART, MOOD_PART = 0.25, 0.57
# Half of what is felt is for the item, half is the moment's mood (free). How far the mood keeps a viewer
# watching is calibrated: a bad mood sends people away, a good one keeps them no longer than the video lasts.
FELT_PART = 0.5
# Free: how far the same person's answer to the same view would differ from one time to the next.
ANSWER_NOISE = 0.1
# How strongly a viewer's habit moves each behavior (free, except for likes: population.py).
HABIT = {"like": 1.0, "comment": 0.7, "follow": 0.7, "forward": 0.7, "hate": 0.0, "profile_enter": 0.5}
BEHAVIORS = tuple(HABIT)


@dataclass(frozen=True)
class Surroundings:
    """The effects of a place on all views.

    table        how long views last
    like_shift   how freely people like
    habit        how far habits of liking differ
    felt_shift   how content people are
    """

    table: PlayTable
    like_shift: float = 0.0
    habit: float = 1.0
    felt_shift: float = 0.0


FEED_PLACE = Surroundings(FEED, felt_shift=CALIBRATION.feed_felt)


@dataclass(frozen=True)
class Exposure:
    """Viewers exposed to items: one entry per viewer and item, or per viewer.

    `impulse` moves what is shown and not what is felt; None: both are one.
    """

    interest_RC: F32
    quality_RC: F32
    bait_RC: F32
    duration_s_RC: F32
    length_RC: I64
    patience_R: F32
    bait_pull_R: F32
    regret_R: F32
    habit_R: F32
    style_R: F32
    impulse: Impulse | None = None

    def as_shown(self) -> "Exposure":
        """Return the exposure by which viewers watch and act."""
        if self.impulse is None:
            return self
        mix = self.impulse.mix
        return replace(
            self,
            interest_RC=mix(self.interest_RC, self.impulse.interest_RC),
            quality_RC=mix(self.quality_RC, self.impulse.catch_RC),
            impulse=None,
        )


@dataclass(frozen=True)
class Reactions:
    """What was done, and what is felt (mean 0, variance 1 in the laboratory), mood included.

    `satisfaction_RC` is the truth: the probability, over mood and wording, that the viewer is satisfied.
    """

    play_s_RC: F32
    ratio_RC: F32
    did: dict[str, Bool]
    felt_RC: F32
    satisfaction_RC: F32


def expose(viewers: Viewers, catalogue: Catalogue, tastes: Tastes, user_R: I64, item_RC: I64) -> Exposure:
    """Look up the properties of viewers and items. `tastes` are those of the day."""
    place_RC = user_R[:, None] * tastes.interest_UT.shape[1] + catalogue.topic_I[item_RC]
    impulse = None
    if tastes.impulse_UT is not None:
        impulse = Impulse(tastes.mix, tastes.impulse_UT.ravel()[place_RC], catalogue.catch_I[item_RC])
    return Exposure(
        interest_RC=tastes.interest_UT.ravel()[place_RC],
        quality_RC=catalogue.quality_I[item_RC],
        bait_RC=catalogue.bait_I[item_RC],
        duration_s_RC=catalogue.duration_s_I[item_RC],
        length_RC=catalogue.length_I[item_RC],
        patience_R=viewers.patience_U[user_R],
        bait_pull_R=viewers.bait_pull_U[user_R],
        regret_R=viewers.regret_U[user_R],
        habit_R=viewers.habit_U[user_R],
        style_R=viewers.answer_style_U[user_R],
        impulse=impulse,
    )


def raw(exposure: Exposure, weights: tuple[float, float, float], bait_R: F32) -> F32:
    """Return the weighted sum of interest, quality and bait, with bait times the viewer's `bait_R`."""
    interest, quality, bait = (np.float32(w) for w in weights)
    raw_RC = interest * exposure.interest_RC
    raw_RC += quality * exposure.quality_RC
    raw_RC += (bait * bait_R)[:, None] * exposure.bait_RC
    return raw_RC


def raw_pull(exposure: Exposure) -> F32:
    """Return how much items pull, before scaling."""
    return raw(exposure, _PULL, exposure.bait_pull_R)


def raw_felt(exposure: Exposure) -> F32:
    """Return what viewers feel for items, without mood, before scaling."""
    return raw(exposure, _FELT, exposure.regret_R)


def pull(exposure: Exposure, mood_RC: F32, own_RC: F32, calibration: WorldConstants) -> F32:
    """Return what keeps viewers watching: patience, the item, the capped mood, and chance."""
    pull_RC = expected_pull(exposure, mood_RC, calibration)
    pull_RC += np.float32(own_spread(calibration)) * own_RC
    return pull_RC


def expected_pull(exposure: Exposure, mood_RC: F32, calibration: WorldConstants) -> F32:
    """Return what keeps viewers watching in a given mood, without chance of its own."""
    known = calibration
    normal = NormalDist()
    cap, shared = known.mood_cap, known.mood_shared
    # Mean and variance of min(mood, cap) for a standard normal mood.
    mean = cap * (1 - normal.cdf(cap)) - normal.pdf(cap)
    square = normal.cdf(cap) - cap * normal.pdf(cap) + cap**2 * (1 - normal.cdf(cap))
    weight = shared * (MOOD_PART / (square - mean**2)) ** 0.5
    pull_RC = (raw_pull(exposure) - np.float32(known.pull_mean)) * np.float32(known.pull_scale)
    pull_RC += exposure.patience_R[:, None]
    pull_RC += np.float32(weight) * (np.minimum(mood_RC, np.float32(cap)) - np.float32(mean))
    return pull_RC


def own_spread(calibration: WorldConstants) -> float:
    """Return the standard deviation of the pull's own chance, which no feeling shares."""
    return float((MOOD_PART * (1 - calibration.mood_shared**2)) ** 0.5)


def react(
    exposure: Exposure,
    random: np.random.Generator,
    place: Surroundings | None = None,
    calibration: WorldConstants = CALIBRATION,
) -> Reactions:
    """Let viewers watch and act in a place, by default in the feed."""
    place = place or FEED_PLACE
    known = calibration
    shape = exposure.interest_RC.shape
    mood_RC, own_RC = random.standard_normal((2, *shape), np.float32)
    expected_RC = expected_felt(exposure, place, known)
    felt_RC = felt_in(expected_RC, mood_RC)
    satisfaction_RC = satisfaction(expected_RC, known)
    content_RC = felt_RC
    if exposure.impulse is not None:
        mood_RC = exposure.impulse.mix(mood_RC, random.standard_normal(shape, np.float32))
        content_RC = felt_in(expected_content(exposure, place, known), mood_RC)
    pull_RC = pull(exposure.as_shown(), mood_RC, own_RC, known)
    ratio_RC = place.table.ratio(exposure.length_RC, pull_RC)
    play_s_RC = ratio_RC * exposure.duration_s_RC
    did = act(exposure, ratio_RC, content_RC, random, place, known)
    did["click"] = watched_for(play_s_RC, exposure.duration_s_RC, CLICK_S)
    did["long_view"] = watched_for(play_s_RC, exposure.duration_s_RC, LONG_VIEW_S)
    return Reactions(play_s_RC, ratio_RC, did, felt_RC, satisfaction_RC)


def expected_felt(exposure: Exposure, place: Surroundings, calibration: WorldConstants) -> F32:
    """Return what viewers feel for items in a place, without mood."""
    felt_RC = (raw_felt(exposure) - np.float32(calibration.felt_mean)) * np.float32(calibration.felt_scale)
    felt_RC += np.float32(place.felt_shift)
    return felt_RC


def felt_in(expected_RC: F32, mood_RC: F32) -> F32:
    """Return what viewers feel in a given mood."""
    felt_RC: F32 = expected_RC + np.float32((1 - FELT_PART) ** 0.5) * mood_RC
    return felt_RC


def expected_content(exposure: Exposure, place: Surroundings, calibration: WorldConstants) -> F32:
    """Return how content viewers show themselves in a place, without mood: what rare behaviors follow."""
    if exposure.impulse is None:
        return expected_felt(exposure, place, calibration)
    mix, shown = exposure.impulse.mix, exposure.as_shown()
    interest, quality, regret = (np.float32(w) for w in _FELT)
    bait_R = mix.felt * regret * exposure.regret_R
    bait_R += mix.impulse * np.float32(_LIKED_BAIT) * exposure.bait_pull_R
    # Likes stay as frequent as they were: regret and pull are 1 on average.
    mean = (mix.felt * regret + mix.impulse * np.float32(_LIKED_BAIT) - regret) * np.float32(mix.mean_bait)
    content_RC = interest * shown.interest_RC + quality * shown.quality_RC + bait_R[:, None] * shown.bait_RC
    content_RC -= np.float32(calibration.felt_mean) + mean
    content_RC *= np.float32(calibration.felt_scale)
    content_RC += np.float32(place.felt_shift)
    return np.asarray(content_RC)


def satisfaction(expected_RC: F32, calibration: WorldConstants = CALIBRATION) -> F32:
    """Return the probability that viewers are satisfied, from what they are expected to feel."""
    # With 1.702 the logistic curve is within 0.01 of the normal one.
    steepness = 1.702 / (1 - FELT_PART + ANSWER_NOISE**2) ** 0.5
    return logistic(np.float32(steepness) * (expected_RC - np.float32(calibration.thresholds[2])))


def act(
    exposure: Exposure,
    ratio_RC: F32,
    content_RC: F32,
    random: np.random.Generator,
    place: Surroundings,
    calibration: WorldConstants,
) -> dict[str, Bool]:
    """Draw the rare behaviors, each with its chance."""
    band_RC = bands(ratio_RC)
    drawn_BRC = random.random((len(BEHAVIORS), *ratio_RC.shape), np.float32)
    did: dict[str, Bool] = {}
    for b, behavior in enumerate(BEHAVIORS):
        chance_RC = chance(behavior, exposure, band_RC, content_RC, did.get("like"), place, calibration)
        did[behavior] = drawn_BRC[b] < chance_RC
    return did


def chance(
    behavior: str,
    exposure: Exposure,
    band_RC: NDArray[np.int8],
    content_RC: F32,
    liked: Bool | bool | None,
    place: Surroundings,
    calibration: WorldConstants,
) -> F32:
    """Return the probability of a rare behavior, given the band of the play ratio and how content one is.

    It also depends on habit and, except for the like, on whether the view is `liked`. A viewer's way of
    answering counts too: viewers who call little satisfying also like little.
    """
    known = calibration.behaviors[behavior]
    logit_RC = np.array(known.by_ratio, np.float32)[band_RC]
    logit_RC += (np.float32(place.habit * HABIT[behavior]) * exposure.habit_R)[:, None]
    above_RC = content_RC + exposure.style_R[:, None] - np.float32(known.turn)
    logit_RC += np.float32(known.low) * np.minimum(above_RC, 0)
    if known.high:
        logit_RC += np.float32(known.high) * np.maximum(above_RC, 0)
    if behavior == "like":
        logit_RC += np.float32(place.like_shift)
        logit_RC += np.array(calibration.like_by_length, np.float32)[exposure.length_RC]
    elif known.liked:
        logit_RC += np.float32(known.liked) * np.float32(liked)
    return logistic(logit_RC)


def bands(ratio_RC: F32) -> NDArray[np.int8]:
    """Return the band of each play ratio, as in real_figures.RATIOS."""
    band_RC = np.zeros(ratio_RC.shape, np.int8)
    for edge in RATIO_EDGES:
        band_RC += ratio_RC > np.float32(edge)
    return band_RC


def logistic(x: F32) -> F32:
    """Return the logistic function."""
    return np.float32(1) / (np.float32(1) + np.exp(-x))
