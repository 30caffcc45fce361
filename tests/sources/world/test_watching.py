"""Watching has the real distribution, whatever the pull is made of."""

import numpy as np
import pytest

from easq.sources.world import real_figures
from easq.sources.world.calibration import CALIBRATION
from easq.sources.world.play import FEED_RATIO_DQ, LEVELS
from easq.sources.world.watching import FEED, PlayTable, watched_for

NUM = 200_000


def pulls() -> np.ndarray:
    """Draw pulls with the quantiles of the main feed's."""
    levels = [float(level) for level in LEVELS.split()]
    drawn = np.random.default_rng(1).random(NUM)
    return np.interp(drawn, levels, CALIBRATION.pull_levels).astype(np.float32)


@pytest.mark.parametrize("length", range(len(real_figures.DURATIONS)))
def test_pulls_of_the_feed_give_the_real_mean_of_each_duration(length: int) -> None:
    ratio = FEED.ratio(np.full(NUM, length), pulls())
    assert ratio.mean() == pytest.approx(real_figures.MEAN_RATIO[length], rel=0.06)


def test_more_pull_is_never_watched_less() -> None:
    pull = np.linspace(-7, 7, 1001).astype(np.float32)
    for length in range(len(FEED_RATIO_DQ)):
        assert (np.diff(FEED.ratio(np.full(1001, length), pull)) >= 0).all()


def test_lowest_pulls_play_nothing() -> None:
    pull = np.array([CALIBRATION.pull_levels[0] - 0.1], np.float32)
    assert FEED.ratio(np.zeros(1, np.int64), pull).tolist() == [0.0]


def test_table_meets_its_quantiles() -> None:
    at = tuple(np.linspace(-2, 2, len(LEVELS.split())).tolist())
    table = PlayTable(FEED_RATIO_DQ[2:3], at)
    wanted = [float(ratio) for ratio in FEED_RATIO_DQ[2].split()]
    result = table.ratio(np.zeros(len(at), np.int64), np.array(at, np.float32) + np.float32(1e-4))
    assert result[1:] == pytest.approx(wanted[1:], rel=0.05)


def test_short_video_is_seen_when_it_is_over() -> None:
    seconds, duration = np.array([5.0, 5.0, 18.0], np.float32), np.array([5.0, 60.0, 60.0], np.float32)
    assert watched_for(seconds, duration, 18).tolist() == [True, False, True]
