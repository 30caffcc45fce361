"""The guard distinguishes a model that has gone bad from one with a bad moment."""

import numpy as np
import pytest

from easq.learn.rollback_guard import DecayedShare, RollbackGuard


def observe(guard: RollbackGuard, accuracy: float, pairs: int) -> None:
    guard.recent.add(accuracy * pairs, pairs)
    guard.level.add(accuracy * pairs, pairs)


def test_a_fall_below_the_share_of_the_level_is_detected() -> None:
    guard = RollbackGuard(0.5, 100, 1000)
    for _ in range(50):
        observe(guard, 0.8, 50)
    assert guard.fallen() == ""
    for _ in range(8):
        observe(guard, 0.55, 50)
    assert "live.guard_share is 0.5" in guard.fallen()
    guard.rearm()
    assert guard.fallen() == ""


@pytest.mark.parametrize(("share", "accuracy", "pairs"), [(0.0, 0.2, 500), (0.5, 0.51, 500), (0.5, 0.2, 40)])
def test_nothing_is_detected_when_off_or_near_chance_or_early(
    share: float, accuracy: float, pairs: int
) -> None:
    guard = RollbackGuard(share, 100, 1000)
    observe(guard, 0.51, pairs)
    observe(guard, accuracy, pairs)
    assert guard.fallen() == ""


def test_shares_fade_by_half() -> None:
    share = DecayedShare(10)
    share.add(10, 10)
    share.add(0, 10)
    assert share.value == pytest.approx(5 / 15)
    assert DecayedShare(10).value == 0.5


def test_state_comes_back() -> None:
    guard, again = RollbackGuard(0.5, 100, 1000), RollbackGuard(0.5, 100, 1000)
    observe(guard, 0.7, 500)
    again.restore(guard.state())
    assert np.array_equal(again.state(), guard.state())


def lists(guard: RollbackGuard, tied: int, others: int) -> None:
    guard._tied.add(float(tied), float(tied + others))


def test_tied_lists_raise_an_alarm_once_there_are_enough_and_it_goes_away() -> None:
    guard = RollbackGuard(0.5, 100, 1000)
    lists(guard, 90, 0)
    assert guard.alarms() == []
    lists(guard, 90, 0)
    assert "In 100% of the recent lists all candidates have one score" in guard.alarms()[0]
    assert guard.fallen() == ""
    for _ in range(40):
        lists(guard, 0, 10)
    assert guard.alarms() == []
    assert 0 < guard.tied_share < 0.5


def test_a_state_of_before_ties_were_watched_comes_back() -> None:
    guard, again = RollbackGuard(0.5, 100, 1000), RollbackGuard(0.5, 100, 1000)
    observe(guard, 0.7, 500)
    again.restore(guard.state()[:2])
    assert again.level.value == guard.level.value
    assert again.tied_share == 0
