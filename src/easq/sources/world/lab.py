"""The world's viewers in a laboratory like EEG-SVRec's, where every view was asked about.

People in a laboratory have time, so play ratios follow EEG-SVRec's own distribution, and they like far more
freely. Both are conditions of the place. What pulls viewers, what they feel and how these are related is
the same as in the feed.
Shapes: R viewers, C views of each.
"""

from typing import NamedTuple

import numpy as np

from easq.arrays import F32, I64
from easq.sources.world import real_figures
from easq.sources.world.answering import named_level
from easq.sources.world.calibration import CALIBRATION, WorldConstants
from easq.sources.world.impulse import tastes_on
from easq.sources.world.population import NUM_TOPICS, make_authors, make_items, make_viewers, read_scenario
from easq.sources.world.react import Exposure, Reactions, Surroundings, expose, react
from easq.sources.world.retrieve import Shelf, cumulate_taste, retrieve
from easq.sources.world.watching import LAB, PlayTable

PERSONALISED = 0.652
"""Share of EEG-SVRec's views from personalized sessions. A mixed session counts half."""
HABIT = 0.6
"""EEG-SVRec: 24 people's like rates have a spread of 0.167, less than habits in the feed would give."""
_VIEWS = 120
_NUM_ITEMS = 6000


class Session(NamedTuple):
    """What people in the laboratory did and answered, one row each, and which rows were personalized."""

    reactions: Reactions
    level_RC: I64
    personalised_R: np.ndarray


class Guests(NamedTuple):
    """People and what they were shown."""

    exposure: Exposure
    style_R: F32
    personalised_R: np.ndarray


def draw_guests(num_people: int, seed: int, sharpness: float, scenario: str = "main") -> Guests:
    """Draw people, and show each 120 videos of a scenario, by taste or at random."""
    random = np.random.default_rng([seed, 9])
    feed = read_scenario(scenario)
    items = make_items(make_authors(feed, _NUM_ITEMS // 12, random), feed, _NUM_ITEMS, 0.0, random)
    viewers = make_viewers(num_people, random, impulsive=feed.silence > 0)
    tastes = tastes_on(viewers, feed, 0)
    shelf = Shelf.of(np.arange(_NUM_ITEMS), items.topic_I, NUM_TOPICS)
    taste_UT = cumulate_taste(tastes.shown_UT, sharpness, shelf)
    num = round(PERSONALISED * num_people)
    item_RC = np.concatenate(
        [
            retrieve(shelf, taste_UT[:num], _VIEWS, feed.taste_share, random),
            retrieve(shelf, taste_UT[num:], _VIEWS, 0.0, random),
        ]
    )
    exposure = expose(viewers, items, tastes, np.arange(num_people), item_RC)
    return Guests(exposure, viewers.answer_style_U, np.arange(num_people) < num)


def run_session(guests: Guests, seed: int, calibration: WorldConstants = CALIBRATION) -> Session:
    """Let the guests watch, act, and name a level from 0 to 4 for every view."""
    random = np.random.default_rng([seed, 10])
    table = LAB if calibration is CALIBRATION else PlayTable(LAB.rows, calibration.lab_pull_levels)
    place = Surroundings(table, calibration.lab_like, HABIT)
    reactions = react(guests.exposure, random, place, calibration)
    style_RC = np.broadcast_to(guests.style_R[:, None], reactions.felt_RC.shape)
    return Session(
        reactions, named_level(reactions.felt_RC, style_RC, random, calibration), guests.personalised_R
    )


PLAY_FIGURES = (
    *real_figures.LEVELS_5,
    "watched to the end, dissatisfied",
    "left before 30 %, satisfied",
    *real_figures.LAB_BANDS,
)


def play_against_satisfaction(session: Session) -> dict[str, float]:
    """Return how play ratios relate to satisfaction, by the names of PLAY_FIGURES."""
    ratio_RC, level_RC = session.reactions.ratio_RC, session.level_RC
    means = [float(ratio_RC[level_RC == k].mean()) for k in range(5)]
    finished = float((level_RC[ratio_RC >= 0.9] <= 1).mean())
    left = float((level_RC[ratio_RC < 0.3] >= 3).mean())
    band_RC = np.searchsorted(real_figures.LAB_RATIO_EDGES, ratio_RC, side="right")
    satisfied = [float((level_RC[band_RC == b] >= 3).mean()) for b in range(len(real_figures.LAB_BANDS))]
    return dict(zip(PLAY_FIGURES, (*means, finished, left, *satisfied), strict=True))
