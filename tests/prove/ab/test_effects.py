from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import tea_tasting as tt
from scipy import stats

from easq.prove.ab.effects import (
    adjusted,
    always_valid,
    deviations,
    effect,
    mixture_reach,
    sample_ratio,
)
from easq.prove.ab.experiment_metrics import ExperimentMetrics, Spec
from tests.support.ab_days import drawn_look
from tests.support.small_worlds import small_recipe

METRICS = ExperimentMetrics.of(small_recipe())
RATIO = Spec("rate", "Rate", "per view", "count like 1", "views")
REACHED = Spec("reached", "Reached", "of viewers", "count like 1", least=5.0)


@pytest.mark.parametrize("with_before", [True, False])
@pytest.mark.parametrize("spec", [METRICS.spec("video_view"), RATIO, REACHED], ids=lambda s: s.name)
def test_effects_are_tea_tastings_on_the_rows(spec: Spec, with_before: bool) -> None:
    look = drawn_look(lift=0.05)
    if not with_before:
        look = replace(look, before_UC=np.zeros_like(look.before_UC))
    result = effect(spec, METRICS.columns, look, 1, 0.95)
    place = METRICS.columns.index
    likes, likes_before = (v[:, place("count like 1")] for v in (look.sum_UC, look.before_UC))
    rows = pl.DataFrame(
        {
            "variant": look.arm_U,
            "views": look.sum_UC[:, place("views")], "views_before": look.before_UC[:, place("views")],
            "likes": likes, "likes_before": likes_before,
            "reached": (likes >= 5).astype(float), "reached_before": (likes_before >= 5).astype(float),
        }
    )  # fmt: skip
    before = {"video_view": "views_before", "reached": "reached_before"}
    metric = (
        tt.RatioOfMeans(
            "likes", "views", *(("likes_before", "views_before") if with_before else ()), use_t=False
        )
        if spec is RATIO
        else tt.Mean(
            before[spec.name].removesuffix("_before"), before[spec.name] if with_before else None, use_t=False
        )
    )
    expected = tt.Experiment({"m": metric}).analyze(rows)["m"]
    assert result is not None
    assert result.with_pre_period == with_before
    assert result.lift == pytest.approx(expected.rel_effect_size)
    assert (result.low, result.high) == pytest.approx(
        (expected.rel_effect_size_ci_lower, expected.rel_effect_size_ci_upper)
    )
    assert result.p_value == pytest.approx(expected.pvalue)


def test_the_pre_period_makes_intervals_shorter() -> None:
    look = drawn_look(lift=0.05)
    spec = METRICS.spec("video_view")
    without = effect(spec, METRICS.columns, replace(look, before_UC=0 * look.before_UC), 1, 0.95)
    with_it = effect(spec, METRICS.columns, look, 1, 0.95)
    assert with_it is not None and without is not None
    assert with_it.error < 0.5 * without.error
    assert with_it.low < 0.05 < with_it.high


def test_what_an_arm_lacks_has_no_relative_effect() -> None:
    look = drawn_look()
    assert effect(METRICS.spec("hate"), METRICS.columns, look, 1, 0.95) is None
    assert effect(METRICS.spec("q_rate"), METRICS.columns, look, 1, 0.95) is None


def test_the_interval_for_all_looks_holds_at_all_of_them_and_at_a_fixed_one_is_wider() -> None:
    random = np.random.default_rng(1)
    runs, looks = 4000, 60
    information = np.arange(1, looks + 1.0)
    walk = random.standard_normal((runs, looks)).cumsum(1) / information
    error = information**-0.5
    reach = np.array([mixture_reach(e, error[0], 0.95) for e in error])
    outside = (np.abs(walk) > reach).any(1).mean()
    # Some room is left because there are 60 looks and not infinitely many.
    assert 0.01 < outside < 0.05
    peeking = (np.abs(walk) > deviations(0.95) * error).any(1).mean()
    assert peeking > 0.3
    assert (reach > deviations(0.95) * error).all()


def test_at_a_fixed_horizon_the_best_mixture_costs_half_as_much_again() -> None:
    look = drawn_look(lift=0.05)
    result = effect(METRICS.spec("video_view"), METRICS.columns, look, 1, 0.95)
    assert result is not None
    bounds = always_valid(result, 3 * result.error, 0.95)
    assert bounds is not None
    low, high = bounds
    assert low < result.low < result.high < high
    widened = np.log((1 + high) / (1 + low)) / np.log((1 + result.high) / (1 + result.low))
    assert widened == pytest.approx(mixture_reach(1.0, 3.0, 0.95) / deviations(0.95))
    assert 1.5 < widened < 1.6


@pytest.mark.parametrize("narrower", [1e2, 1e4, 1e8, 1e300])
def test_a_metric_that_hardly_varied_at_first_has_no_interval_that_says_nothing(narrower: float) -> None:
    look = drawn_look(lift=0.05)
    result = effect(METRICS.spec("video_view"), METRICS.columns, look, 1, 0.95)
    assert result is not None
    bounds = always_valid(result, result.error / narrower, 0.95)
    assert bounds is None or -1 <= bounds[0] < result.lift < bounds[1] < 2e6


def test_a_wrong_sample_ratio_is_seen_and_a_right_one_is_not() -> None:
    arm_U = np.repeat([0, 1, 2], [1000, 2000, 1000])
    assert [viewers for viewers, _ in sample_ratio(arm_U, [1.0, 2.0, 1.0])] == [1000, 2000, 1000]
    assert min(p for _, p in sample_ratio(arm_U, [1.0, 2.0, 1.0])) > 0.5
    (_, _), (_, right), (_, wrong) = sample_ratio(arm_U, [1.0, 2.0, 1.2])
    assert wrong < 0.001 < right
    assert wrong == pytest.approx(stats.binomtest(1000, 2000, 1.2 / 2.2).pvalue, rel=0.05)


def test_p_values_are_adjusted_as_benjamini_and_hochberg_do() -> None:
    look = drawn_look(lift=0.03)
    names = ("video_view", "like")
    result = {n: effect(METRICS.spec(n), METRICS.columns, look, 1, 0.95) for n in names}
    known = {n: e for n, e in result.items() if e is not None}
    expected = stats.false_discovery_control([e.p_value for e in known.values()])
    assert list(adjusted(known).values()) == pytest.approx(expected.tolist())
    assert adjusted({}) == {}
