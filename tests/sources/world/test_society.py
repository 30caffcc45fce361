"""Viewers in a feed that others rank: they come by what they felt, and see no more than they are given."""

import numpy as np

from easq.sources.world.simulate import DAY_MS, AskRates
from easq.sources.world.society import Society


def society(seed: int = 3, viewers: int = 600) -> Society:
    return Society(seed, AskRates(answer=0.5), viewers, 800)


def test_equal_seeds_and_rankings_give_equal_lives() -> None:
    lives = []
    for _ in range(2):
        one, seen = society(), []
        for _ in range(3):
            time_V, user_V = one.visits(2.0)
            item_VC = one.candidates_of(user_V, 12)
            watched = one.watch(user_V, item_VC[:, :3])
            seen += [time_V, user_V, item_VC, watched.play_ms_VK, watched.option_VK, watched.did["like"]]
            one.next_day()
        lives.append(seen)
    for first, second in zip(*lives, strict=True):
        np.testing.assert_array_equal(first, second)


def test_visits_are_in_order_within_a_day_and_as_many_as_asked_for() -> None:
    one = society(viewers=4000)
    time_V, user_V = one.visits(2.5)
    assert (np.diff(time_V) >= 0).all()
    assert time_V[0] >= 0
    assert time_V[-1] < DAY_MS
    assert abs(len(user_V) / 4000 - 2.5) < 0.1
    assert len(np.unique(user_V)) == 4000


def test_expected_satisfaction_matches_and_reading_it_changes_nothing() -> None:
    one, other = society(), society()
    _, user_V = one.visits(2.0)
    item_VC = one.candidates_of(user_V, 12)
    other.visits(2.0)
    other.candidates_of(user_V, 12)
    would_VC = one.satisfaction_of(user_V, item_VC)
    did, undisturbed = one.watch(user_V, item_VC[:, :3]), other.watch(user_V, item_VC[:, :3])
    np.testing.assert_array_equal(would_VC[:, :3], did.satisfaction_VK)
    np.testing.assert_array_equal(did.option_VK, undisturbed.option_VK)


def test_candidates_are_distinct_and_on_the_shelf_and_new_items_come() -> None:
    one = society()
    _, user_V = one.visits(1.0)
    before = len(one.catalogue.topic_I)
    for _ in range(3):
        item_VC = one.candidates_of(user_V, 20)
        assert np.isin(item_VC, one._on_shelf_I).all()
        assert (np.diff(np.sort(item_VC, 1), axis=1) > 0).all()
        one.next_day()
    assert len(one.catalogue.topic_I) > before


def test_satisfied_viewers_return_more_often() -> None:
    returned = []
    for best in (True, False):
        one, here = society(viewers=3000), []
        for _ in range(6):
            _, user_V = one.visits(1.0)
            here.append(len(user_V))
            item_VC = one.candidates_of(user_V, 30)
            # Only the truth can do this; the loop itself never ranks by it.
            meeting = one.watch(user_V, item_VC).satisfaction_VK
            order_VC = np.argsort(-meeting if best else meeting, axis=1)[:, :4]
            one._views_U[:] = one._satisfied_U[:] = 0
            one.watch(user_V, np.take_along_axis(item_VC, order_VC, 1))
            one.next_day()
        returned.append(np.mean(here[1:]))
    assert returned[0] > 1.03 * returned[1]


def test_annoyed_viewers_answer_more_often_and_some_never() -> None:
    one = society(viewers=3000)
    _, user_V = one.visits(1.0)
    watched = one.watch(user_V, one.candidates_of(user_V, 10))
    answered = watched.option_VK >= 0
    truth = watched.satisfaction_VK
    assert 0.3 < answered.mean() < 0.8
    assert answered[truth < 0.1].mean() > answered[truth > 0.6].mean() + 0.05
    satisfied = watched.option_VK[answered] == 2
    assert np.corrcoef(satisfied, truth[answered])[0, 1] > 0.3
