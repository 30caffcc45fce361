from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import roc_auc_score

from easq.log.ids import stable_id
from easq.prove.offline.metrics import ScoreOrder
from easq.prove.offline.tally import CELLS, Tally

VIEWERS, VIEWS = 150, 12
_BY_CELL = {user & (CELLS - 1): user for user in (stable_id(f"d{n}") for n in range(2 * VIEWERS))}
USER = np.repeat(list(_BY_CELL.values())[:VIEWERS], VIEWS)
"""Hashed ids, no two in one cell."""


def clustered(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels that run in viewers, and two scores that know them more and less well."""
    random = np.random.default_rng(seed)
    taste = np.repeat(random.normal(0, 1.5, VIEWERS), VIEWS)
    label = taste + random.logistic(0, 1, len(taste)) > 1
    better = 0.7 * taste + random.normal(0, 1, len(taste)) + label
    worse = 0.7 * taste + random.normal(0, 1, len(taste)) + 0.3 * label
    return label, better, worse


def resample(statistic: Callable[[np.ndarray], float], seed: int, num: int = 4000) -> np.ndarray:
    """Return the whole statistic for viewers taken Poisson(1) times; `statistic` gets the times."""
    times = np.random.default_rng(seed).poisson(1.0, (num, VIEWERS)).astype(np.float64)
    return np.array([statistic(row) for row in times])


Wins = Callable[[np.ndarray], tuple[float, float]]


def auc_by_viewers(positive: np.ndarray, score: np.ndarray, negative: np.ndarray) -> Wins:
    """Return wins and pairs of all rows as a function of how often each viewer is taken."""
    viewer = np.repeat(np.arange(VIEWERS), VIEWS)
    wins, pairs = np.zeros((2, VIEWERS, VIEWERS))
    place = viewer[positive][:, None], viewer[negative][None, :]
    np.add.at(wins, place, (np.sign(score[positive][:, None] - score[negative][None, :]) + 1) / 2)
    np.add.at(pairs, place, 1.0)
    return lambda times: (float(times @ wins @ times), float(times @ pairs @ times))


def whole_auc(label: np.ndarray, score: np.ndarray) -> Callable[[np.ndarray], float]:
    both = auc_by_viewers(label, score, ~label)
    return lambda times: both(times)[0] / both(times)[1]


def per_viewer(values: np.ndarray) -> np.ndarray:
    return values.reshape(VIEWERS, VIEWS).sum(1)


def ratio_by_viewers(numerator: np.ndarray, denominator: np.ndarray) -> Callable[[np.ndarray], float]:
    above, below = per_viewer(numerator), per_viewer(denominator)
    return lambda times: float(times @ above / (times @ below))


def assert_same_interval(interval, drawn: np.ndarray) -> None:
    """Compare bounds; 500 replicates place a 2.5 % bound within 0.12 standard deviations (1 sigma)."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert interval.low == pytest.approx(low, abs=0.4 * drawn.std())
    assert interval.high == pytest.approx(high, abs=0.4 * drawn.std())
    assert interval.high - interval.low == pytest.approx(high - low, rel=0.15)


def add_auc(tally: Tally, label: np.ndarray, score: np.ndarray) -> None:
    tally.add_auc("auc", USER, ScoreOrder(score), label)


def test_no_two_viewers_of_these_tests_share_a_cell():
    assert len(np.unique(USER & (CELLS - 1))) == VIEWERS


def test_interval_of_a_ratio_is_that_of_resampled_viewers():
    label = clustered(1)[0]
    weight = np.random.default_rng(2).integers(1, 6, len(USER)).astype(np.float64)
    tally = Tally(500, 0.95, 1)
    tally.add("m", USER, label * weight, weight)
    interval = tally.interval("m")
    assert interval.value == pytest.approx((label * weight).sum() / weight.sum())
    assert_same_interval(interval, resample(ratio_by_viewers(label * weight, weight), 3))


def test_interval_of_an_auc_is_that_of_resampled_viewers():
    label, score, _ = clustered(4)
    tally = Tally(500, 0.95, 1)
    add_auc(tally, label, score)
    interval = tally.interval("auc")
    assert interval.value == pytest.approx(roc_auc_score(label, score))
    assert_same_interval(interval, resample(whole_auc(label, score), 5))


def test_interval_of_an_auc_in_several_windows_is_that_of_resampled_viewers():
    """The windows differ in prevalence, in viewers and in how well they are scored."""
    label, score, _ = clustered(16)
    viewer = np.repeat(np.arange(VIEWERS), VIEWS)
    noise, thinned = np.random.default_rng(17).normal(0, 1, (2, len(score)))
    noise += viewer % 7
    label = np.where(viewer < 60, label | (thinned > -0.5), label & (thinned > 0))
    tally, each = Tally(500, 0.95, 1), []
    for rows, scored in ((viewer < 60, score + label), (viewer >= 60, noise)):
        tally.add_auc("auc", USER[rows], ScoreOrder(scored[rows]), label[rows])
        each.append((auc_by_viewers(label & rows, scored, ~label & rows), per_viewer(label & rows)))

    def statistic(times: np.ndarray) -> float:
        aucs = [wins / pairs for wins, pairs in (both(times) for both, _ in each)]
        return float(np.average(aucs, weights=[times @ positives for _, positives in each]))

    assert tally.interval("auc").value == pytest.approx(statistic(np.ones(VIEWERS)))
    assert_same_interval(tally.interval("auc"), resample(statistic, 18))


def test_difference_of_ratios_is_paired_by_viewer():
    label, better, worse = clustered(6)
    one, two = Tally(500, 0.95, 1), Tally(500, 0.95, 1)
    ones = np.ones(len(USER))
    one.add("m", USER, label & (better > 1), ones)
    two.add("m", USER, label & (worse > 1), ones)
    first, second = (ratio_by_viewers(label & (s > 1), ones) for s in (better, worse))
    difference = one.difference(two, "m")
    assert difference.value == pytest.approx(first(np.ones(VIEWERS)) - second(np.ones(VIEWERS)))
    assert_same_interval(difference, resample(lambda times: first(times) - second(times), 7))


def test_change_is_a_share_of_the_other_and_paired_by_viewer():
    rng = np.random.default_rng(3)
    their = rng.uniform(1, 2, VIEWERS)
    one, two = (Tally(replicates=400, confidence=0.95, seed=7) for _ in range(2))
    one.add("m", np.arange(VIEWERS), 0.9 * their)
    two.add("n", np.arange(VIEWERS), their)
    change = one.change(two, "m", "n")
    assert change == pytest.approx((-0.1, -0.1, -0.1))  # nothing but what they share varies
    two.add("zero", np.arange(VIEWERS), np.zeros(VIEWERS))
    assert np.isnan(one.change(two, "m", "zero").low)


def test_difference_of_aucs_moves_both_classes():
    label, better, worse = clustered(8)
    one, two = Tally(500, 0.95, 1), Tally(500, 0.95, 1)
    add_auc(one, label, better)
    add_auc(two, label, worse)
    first, second = whole_auc(label, better), whole_auc(label, worse)
    difference = one.difference(two, "auc")
    assert difference.value == pytest.approx(roc_auc_score(label, better) - roc_auc_score(label, worse))
    assert_same_interval(difference, resample(lambda times: first(times) - second(times), 9))


def test_difference_from_oneself_is_exactly_nothing():
    label, score, _ = clustered(10)
    tally = Tally(50, 0.95, 1)
    add_auc(tally, label, score)
    assert tally.difference(tally, "auc") == (0, 0, 0)


def test_two_metrics_of_one_run_are_compared_as_two_runs_are():
    label, better, worse = clustered(8)
    one, two, both = (Tally(200, 0.95, 1) for _ in range(3))
    add_auc(one, label, better)
    add_auc(two, label, worse)
    for name, score in (("auc", better), ("random/auc", worse)):
        both.add_auc(name, USER, ScoreOrder(score), label)
    assert both.difference(both, "auc", "random/auc") == one.difference(two, "auc")


def test_bounds_of_an_auc_lie_between_0_and_1():
    """Of 3/4, either class may lose its worse row to a replicate, which adds 1/4: 5/4 when both do."""
    user, label = USER[::VIEWS][:4], np.array([True, False, True, False])
    tally = Tally(500, 0.95, 1)
    tally.add_auc("auc", user, ScoreOrder(np.array([3.0, 2.0, 1.0, 0.0])), label)
    assert tally.interval("auc") == (0.75, 0.25, 1)


def test_an_auc_that_no_replicate_holds_has_no_bounds():
    tally = Tally(1, 0.95, 1)
    cells = np.flatnonzero(np.random.default_rng(1).poisson(1.0, (CELLS, 1))[:, 0] == 0)[:2]
    tally.add_auc("auc", cells, ScoreOrder(np.array([1.0, 0.0])), np.array([True, False]))
    assert tally.interval("auc").value == 1
    assert np.isnan(tally.interval("auc")[1:]).all()


def test_viewers_resampled_whole_give_wider_intervals_than_rows_would():
    label = clustered(11)[0]
    rows, viewers = Tally(300, 0.95, 1), Tally(300, 0.95, 1)
    each = np.array([stable_id(str(n)) for n in range(len(USER))])
    rows.add("m", each, label)
    viewers.add("m", USER, label)
    assert np.ptp(viewers.interval("m")[1:]) > 1.3 * np.ptp(rows.interval("m")[1:])


@pytest.mark.parametrize(("num_viewers", "least", "most"), [(24, 0.86, 0.945), (400, 0.92, 0.98)])
def test_intervals_cover_the_truth_less_often_for_few_viewers(num_viewers, least, most, monkeypatch):
    """500 runs of skewed, clustered data; docs/evaluation.md quotes what is printed."""
    monkeypatch.setattr("easq.prove.offline.tally.CELLS", 1 << 11)
    random, num_runs, share = np.random.default_rng(12), 500, 0.1
    tally = Tally(200, 0.95, 1)
    user = np.array([stable_id(f"a{n}") for n in range(num_viewers)])
    for run in range(num_runs):
        views = random.poisson(20, num_viewers) + 1.0
        likes = random.binomial(views.astype(np.int64), random.beta(0.5, 4.5, num_viewers))
        tally.add(f"{run}", user, likes, views)
    intervals = tally.intervals().values()
    covered = np.mean([i.low <= share <= i.high for i in intervals])
    below = np.mean([i.high < share for i in intervals])
    print(
        f"\n{num_viewers} viewers: {covered:.3f} of the 95 % intervals hold the truth, {below:.3f} below it"
    )
    assert least < covered < most


def test_windows_of_an_auc_weigh_by_their_positives():
    label, better, _ = clustered(13)
    tally, values, weights = Tally(1, 0.95, 1), [], []
    for part in (slice(0, 300), slice(300, 1000), slice(1000, 1010)):
        tally.add_auc("auc", USER[part], ScoreOrder(better[part]), label[part])
        if 0 < label[part].sum() < len(label[part]):
            values.append(roc_auc_score(label[part], better[part]))
            weights.append(label[part].sum())
    assert tally.interval("auc").value == pytest.approx(np.average(values, weights=weights))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 5), st.integers(1, 5)), min_size=1)
)
def test_the_value_does_not_depend_on_the_cells(rows):
    user, numerator, denominator = (np.array(column) for column in zip(*rows, strict=True))
    tally = Tally(1, 0.95, 1)
    for row in range(len(rows)):
        tally.add("m", user[row : row + 1], numerator[row : row + 1], denominator[row : row + 1])
    assert_allclose(tally.interval("m").value, numerator.sum() / denominator.sum())


def test_equal_seeds_give_equal_intervals():
    def interval(seed: int):
        label, score, _ = clustered(14)
        tally = Tally(50, 0.9, seed)
        add_auc(tally, label, score)
        return tally.interval("auc")

    assert interval(1) == interval(1)
    assert interval(1)[1:] != interval(2)[1:]


def test_nothing_counted_is_not_a_number_and_nothing_added_is_an_error():
    tally = Tally(5, 0.95, 1)
    tally.add("none", np.zeros(0, np.int64), np.zeros(0))
    tally.add("empty", np.zeros(2, np.int64), np.zeros(2), np.zeros(2))
    tally.add("infinite", np.zeros(2, np.int64), np.ones(2), np.zeros(2))
    assert tally.names() == ["empty", "infinite"]
    for name in tally.names():
        assert np.isnan(tally.interval(name)).all()
    with pytest.raises(KeyError):
        tally.interval("none")


def test_a_name_may_hold_any_character():
    tally = Tally(5, 0.95, 1)
    label = np.array([True, False])
    tally.add("validity/yes|no/like", np.array([1, 2]), label)
    tally.add_auc("auc/a|b", np.array([1, 2]), ScoreOrder(np.array([2.0, 1.0])), label)
    assert list(tally.intervals()) == ["auc/a|b", "validity/yes|no/like"]
    assert tally.interval("auc/a|b").value == 1


def test_a_restored_tally_continues_as_if_never_stopped():
    label, better, worse = clustered(15)
    straight, stopped = Tally(50, 0.95, 1), Tally(50, 0.95, 1)
    for tally in (straight, stopped):
        add_auc(tally, label, better)
        tally.add("m", USER, label)
    resumed = Tally(50, 0.95, 1)
    resumed.restore(stopped.state())
    for tally in (straight, resumed):
        add_auc(tally, ~label, worse)
        tally.add("m", USER, worse)
    assert resumed.intervals() == straight.intervals()
