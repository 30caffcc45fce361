"""Propensities hold in simulated worlds: asks are as many as they say, and weighting undoes the sampling."""

from collections import deque

import numpy as np
import pytest

from easq.ask.policy import Rule
from easq.prove.asking import RULE, Calibration, Run, Verdict, eligible_views, prove, run


def verdict(views: int) -> Verdict:
    (found,) = deque(prove(views), maxlen=1)
    return found


def test_asks_match_propensities_and_weighting_takes_the_error_away() -> None:
    found = verdict(150_000)
    assert found.views >= 150_000
    assert found.p_value > 0.001
    assert abs(found.weighted_error) < abs(found.plain_error)


def test_propensities_that_are_wrong_are_found_out() -> None:
    views = eligible_views(3, 4000)
    found = run(Rule.of(RULE), views, 3)
    for factor, fits in ((1.0, True), (1.3, False)):
        calibration = Calibration(RULE.rate * np.array([0.3, 0.6, 0.9]))
        calibration.add(views, Run(found.propensity_V * factor, found.asked_V))
        assert (calibration.p_value() > 0.001) is fits


@pytest.mark.slow
def test_two_million_views_cover_the_truth_at_the_nominal_rate() -> None:
    found = verdict(2_000_000)
    assert found.p_value > 0.001
    # Three standard errors of a share of 0.95.
    assert found.weighted_coverage > 0.95 - 3 * (0.95 * 0.05 / found.runs) ** 0.5
    assert found.plain_coverage < 0.8
