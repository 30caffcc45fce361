"""Propensities hold in simulated worlds: asks are as many as they say, with a daily quota too."""

import asking_study as asking
import msgspec
import numpy as np
import pytest
from asking_study import RULE, VIEWERS, Calibration, Redraw, Run, eligible_views, platform, run

from easq.ask.policy import Rule

QUOTA = msgspec.structs.replace(RULE, daily_quota=60)


@pytest.fixture(scope="module")
def views() -> asking.Views:
    return eligible_views(3)


def test_asks_are_as_many_as_their_propensities_say(views: asking.Views) -> None:
    calibration = Calibration.of(RULE.rate)
    for seed in range(4):
        calibration.add(views, run(Rule.of(RULE), views, seed))
    assert calibration.p_value() > 0.001


def test_propensities_that_are_wrong_are_found_out(views: asking.Views) -> None:
    result = run(Rule.of(RULE), views, 3)
    for factor, fits in ((1.0, True), (1.3, False)):
        calibration = Calibration.of(RULE.rate)
        calibration.add(views, Run(result.propensity_V * factor, result.asked_V))
        assert (calibration.p_value() > 0.001) is fits


def test_a_redraw_asks_the_same_views_as_the_rule_itself(views: asking.Views) -> None:
    rule = Rule.of(RULE)
    redraw = Redraw(rule, views)
    for seed in (1, 2):
        assert (redraw.asked(seed) == run(rule, views, seed).asked_V).all()
    with pytest.raises(ValueError, match="with a quota the rate depends on the draws"):
        Redraw(Rule.of(QUOTA), views)


def test_a_quota_is_kept_and_spread_over_the_day(views: asking.Views) -> None:
    result = run(Rule.of(QUOTA), views, 1)
    day_V = views.ts_V // asking.DAY_MS - views.ts_V[0] // asking.DAY_MS
    by_day = np.bincount(day_V, result.asked_V)
    assert (by_day <= 60).all()
    assert by_day[1] >= 50  # the first and the last day are not whole


def test_a_platform_is_its_worlds_in_order_of_time() -> None:
    one, both = eligible_views(1), platform(30_000)
    assert (np.diff(both.ts_V) >= 0).all()
    assert both.num_seen >= 30_000
    of_one = both.user_V < VIEWERS
    for name in ("user_V", "ts_V", "option_V", "felt_V", "seen_VP"):
        assert (getattr(both, name)[of_one] == getattr(one, name)).all()
    assert set(both.user_V[~of_one] // VIEWERS) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("leaves_own_out", [True, False])
def test_with_a_quota_too_asks_are_as_many_as_their_propensities_say(
    monkeypatch: pytest.MonkeyPatch, leaves_own_out: bool
) -> None:
    """75 small platforms; with their own asks in viewers' pace, propensities would be too low."""
    if not leaves_own_out:
        monkeypatch.setattr(asking, "own_lately", lambda *_: 0)
    calibration = Calibration.of(RULE.rate)
    for seed in range(1, 76):
        views = eligible_views(seed)
        calibration.add(views, run(Rule.of(QUOTA), views, seed))
    excess = calibration.asked_K.sum() / calibration.expected_K.sum() - 1
    if leaves_own_out:
        assert calibration.p_value() > 0.001
        assert abs(excess) < 0.025  # three standard errors
    else:
        assert excess > 0.025
