"""The offline solver: rates come out as they went in."""

import numpy as np
import pytest
from intercepts import RATES, Views, _chance, _with_rates, relative

from easq.sources.world import real_figures
from easq.sources.world.calibration import BehaviorLogit

NUM = 30_000


def views() -> Views:
    random = np.random.default_rng(1)
    content = random.standard_normal(NUM).astype(np.float32)
    return Views(
        band_N=random.integers(0, 6, NUM).astype(np.int8),
        length_N=random.integers(0, 7, NUM),
        content_N=content,
        habit_N=random.standard_normal(NUM).astype(np.float32),
        user_N=random.integers(0, 300, NUM),
        eligible_N=random.random(NUM) < 0.5,
        answer_N=np.digitize(content, [-0.5, 0.5]),
        weight_N=np.ones(NUM, np.float32),
    )


@pytest.mark.parametrize("name", ["like", "comment", "hate"])
def test_rates_by_play_ratio_are_met_whatever_the_slopes(name: str) -> None:
    logged = views()
    result = _with_rates(logged, name, BehaviorLogit((-4.0,) * 6, 1.5, 0.5, 0.2), 0.0, None)
    chance = _chance(logged, name, result, 0.0)
    rates = [chance[logged.band_N == band].mean() for band in range(len(real_figures.RATIOS))]
    assert rates == pytest.approx(RATES[name], rel=0.01)


def test_behavior_that_nothing_moves_is_the_viewers_average() -> None:
    logged = views()
    for answer in range(3):
        assert relative(logged, np.full(NUM, 0.1), answer) == pytest.approx(1.0)


def test_behavior_that_follows_content_is_above_average_where_satisfied() -> None:
    logged = views()
    chance = np.exp(logged.content_N.astype(np.float64)) / 100
    low, middle, high = (relative(logged, chance, answer) for answer in range(3))
    assert low < middle < 1 < high
