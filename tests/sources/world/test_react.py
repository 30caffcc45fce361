"""The pure steps that a closed loop calls by itself."""

from dataclasses import replace

import numpy as np

from easq.sources.world.impulse import tastes_on
from easq.sources.world.lab import draw_guests, run_session
from easq.sources.world.population import SCENARIOS, make_authors, make_items, make_viewers
from easq.sources.world.react import BEHAVIORS, Exposure, expose, react
from easq.sources.world.retention import return_chance
from easq.sources.world.retrieve import Shelf, cumulate_taste, retrieve


def exposure(num_viewers: int = 2000, num_items: int = 10) -> Exposure:
    random = np.random.default_rng(4)
    items = make_items(make_authors(SCENARIOS["main"], 60, random), SCENARIOS["main"], 600, 0.0, random)
    viewers = make_viewers(num_viewers, random)
    tastes = tastes_on(viewers, SCENARIOS["main"], 0)
    item_RC = random.integers(0, 600, (num_viewers, num_items))
    return expose(viewers, items, tastes, np.arange(num_viewers), item_RC)


def test_any_viewers_may_be_given_any_items() -> None:
    exposed = exposure(3, 1)
    result = react(exposed, np.random.default_rng(1))
    assert result.play_s_RC.shape == result.satisfaction_RC.shape == (3, 1)
    assert result.did.keys() == {*BEHAVIORS, "click", "long_view"}


def test_reactions_depend_on_the_given_generator_alone() -> None:
    exposed = exposure(50)
    first, second, other = (react(exposed, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.play_s_RC.tobytes() == second.play_s_RC.tobytes() != other.play_s_RC.tobytes()


def test_more_interest_is_watched_longer_and_felt_better() -> None:
    exposed = exposure()
    more = replace(exposed, interest_RC=exposed.interest_RC + np.float32(1))
    before, after = (react(m, np.random.default_rng(1)) for m in (exposed, more))
    assert (after.ratio_RC >= before.ratio_RC).all()
    assert (after.satisfaction_RC > before.satisfaction_RC).all()


def test_regret_is_felt_and_not_seen_in_watching() -> None:
    exposed = exposure()
    sorry = replace(exposed, regret_R=exposed.regret_R * np.float32(2))
    before, after = (react(m, np.random.default_rng(1)) for m in (exposed, sorry))
    assert np.array_equal(after.ratio_RC, before.ratio_RC)
    assert after.felt_RC.mean() < before.felt_RC.mean()


def test_satisfied_viewers_return_more_and_absent_ones_less() -> None:
    chance = return_chance(np.array([0.1, 0.5, np.nan]), np.zeros(3))
    assert chance[2] < chance[0] < chance[1] < 1


def test_retrieval_follows_taste_to_the_given_degree() -> None:
    random = np.random.default_rng(1)
    topic_I = np.arange(400) % 20
    shelf = Shelf.of(np.arange(400), topic_I, 20)
    interest_UT = np.zeros((300, 20), np.float32)
    interest_UT[:, 7] = 3
    taste_UT = cumulate_taste(interest_UT, 3.0, shelf)
    shares = [(topic_I[retrieve(shelf, taste_UT, 5, s, random)] == 7).mean() for s in (0.0, 0.5, 1.0)]
    assert abs(shares[0] - 0.05) < 0.03
    assert shares[0] + 0.3 < shares[1] < shares[2] - 0.3


def test_an_empty_topic_is_never_aimed_at() -> None:
    item_I = np.arange(50)
    shelf = Shelf.of(item_I, np.zeros(50, np.int64), 20)
    taste_UT = cumulate_taste(np.ones((40, 20), np.float32), 1.0, shelf)
    result = retrieve(shelf, taste_UT, 10, 1.0, np.random.default_rng(1))
    assert np.isin(result, item_I).all()


def test_people_in_the_laboratory_watch_longer_and_like_more() -> None:
    guests = draw_guests(200, 5, 2.0)
    session = run_session(guests, 5)
    in_feed = react(guests.exposure, np.random.default_rng(5))
    assert session.reactions.ratio_RC.mean() > in_feed.ratio_RC.mean()
    assert session.reactions.did["like"].mean() > 5 * in_feed.did["like"].mean()
    assert session.personalised_R.mean() == 0.65
