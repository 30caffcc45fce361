"""Intervals of weighted means hold the truth as often as they say, and those of plain means do not."""

from collections import deque

import numpy as np
import pytest
from asking_study import SATISFIED, Views, platform
from interval_coverage import Coverage, Estimate, asking, readiness, weighted_mean, who_answers


def within(covered: float, draws: int, nominal: float = 0.95) -> bool:
    """Return whether a coverage is no more than three standard errors below the nominal one."""
    return covered > nominal - 3 * (nominal * (1 - nominal) / draws) ** 0.5


def is_off(result: Coverage) -> bool:
    """Return whether a mean error is more than three of its standard errors."""
    return abs(result.error) > 3 * result.half_width / 1.96 / result.draws**0.5


@pytest.fixture(scope="module")
def views() -> Views:
    return platform(150_000)


def test_a_weighted_mean_is_that_of_viewers_drawn_independently() -> None:
    answers, weight = np.array([1.0, 0.0, 1.0, 1.0]), np.array([1.0, 2.0, 1.0, 4.0])
    result = weighted_mean(answers, weight, np.array([7, 7, 9, 9]))
    assert result.mean == 0.75
    # Residuals by viewer: .25 - 1.5 and .25 + 1.
    assert result.half_width == pytest.approx(1.959964 * (1.25**2 + 1.25**2) ** 0.5 / 8)
    assert Estimate(0.5, 0.1).covers(0.6)
    assert not Estimate(0.5, 0.1).covers(0.61)


@pytest.mark.slow
def test_weighting_asks_takes_the_error_away(views: Views) -> None:
    (result,) = deque(asking(views, 60), maxlen=1)
    weighted, plain = result["weighted/whole"], result["plain/whole"]
    assert weighted.draws == 60
    assert within(weighted.covered, 60)
    assert not is_off(weighted)
    assert is_off(plain)
    assert plain.covered < weighted.covered


def test_behavior_and_a_known_readiness_correct_for_who_answers(views: Views) -> None:
    ratio = readiness(views)
    assert 1.1 < ratio < 1.5
    ((result, answers),) = deque(who_answers(views, 40, 0.5, (ratio,)), maxlen=1)
    assert answers == pytest.approx(0.5 * 0.08 * 0.5 * len(views.ts_V), rel=0.3)
    errors = {name: abs(one.error) for name, one in result.items()}
    assert errors["behavior"] < errors["plain"]
    assert errors[f"ratio {ratio:.3g}"] < 0.4 * errors["behavior"]
    assert within(result["band"].covered, 40)


@pytest.mark.slow
def test_two_million_views_cover_the_truth_at_the_nominal_rate_if_weighted_and_never_if_not() -> None:
    """Every ask is answered: what varies is who is asked."""
    views = platform(2_000_000)
    assert views.num_seen >= 2_000_000
    (result,) = deque(asking(views, 100), maxlen=1)
    assert within(result["weighted/whole"].covered, 100)
    assert within(result["weighted/part"].covered, 7500)
    assert result["plain/whole"].covered < 0.1
    # Of one world's 580 asks the interval is so wide that the plain mean's error hides in it.
    assert result["plain/part"].half_width > 3 * abs(result["plain/part"].error)


@pytest.mark.slow
def test_where_answering_depends_on_the_answer_only_a_band_of_readiness_covers() -> None:
    """As many answers as the paper has: 2 % of asks; the ratio of 1.5 is Wikimedia's."""
    views = platform(2_000_000)
    ((result, _),) = deque(who_answers(views, 60, 0.02, (1.5,)), maxlen=1)
    assert result["behavior"].covered < 0.8
    assert within(result["band"].covered, 60)
    assert (views.option_V == SATISFIED).any()
