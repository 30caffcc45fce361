from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from easq.prove.offline.curve import Curve, Reliability

MOST_POINTS = 256


def sums_of(step: int) -> dict[str, float]:
    """Return a step's sums: whole numbers, so that adding up is exact, and one that is often absent."""
    return {"steps": 1.0, "views": float(step % 17), **({"rare": float(step)} if step % 101 == 7 else {})}


def run(first: int, last: int, curve: Curve) -> Curve:
    for step in range(first, last):
        curve.add(sums_of(step))
    return curve


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 6000))
def test_folding_keeps_every_sum_and_the_number_of_points_small(num_steps):
    points = run(0, num_steps, Curve()).points()
    result: Counter[str] = Counter()
    for point in points:
        result.update(point)
    expected: Counter[str] = Counter()
    for step in range(num_steps):
        expected.update(sums_of(step))
    assert result == expected
    assert len(points) <= MOST_POINTS
    assert num_steps <= MOST_POINTS or len(points) > MOST_POINTS // 2


@pytest.mark.parametrize("num_steps", [1, 256, 257, 511, 512, 513, 1024, 1025, 3000])
def test_points_are_equally_long_stretches_in_order(num_steps):
    curve = Curve()
    for step in range(num_steps):
        curve.add({"steps": 1.0, "first": float(step)})
    lengths = [int(point["steps"]) for point in curve.points()]
    assert len(set(lengths[:-1])) <= 1
    assert lengths[-1] <= lengths[0]
    starts = np.cumsum([0, *lengths])[:-1]
    expected = [float(sum(range(start, start + n))) for start, n in zip(starts, lengths, strict=True)]
    assert [point["first"] for point in curve.points()] == expected


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1500), st.integers(0, 1500))
def test_a_restored_curve_continues_as_if_never_stopped(before, after):
    stopped = run(0, before, Curve())
    resumed = Curve()
    resumed.restore(stopped.state())
    assert resumed.points() == stopped.points()
    assert run(before, before + after, resumed).points() == run(0, before + after, Curve()).points()


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-24, 24).map(lambda n: n / 4), max_size=20), max_size=5))
def test_reliability_equals_a_direct_count(parts):
    reliability = Reliability()
    for margins in parts:
        reliability.add(np.array(margins, np.float32))
    # Per bin: pairs, the probability claimed, and how many were in the order that the model prefers.
    bins = [[0, 0.0, 0.0] for _ in range(10)]
    for margin in [m for margins in parts for m in margins]:
        claimed = 1 / (1 + np.exp(-abs(margin)))
        number = min(9, int((claimed - 0.5) / 0.05))
        bins[number][0] += 1
        bins[number][1] += claimed
        bins[number][2] += 1 if margin > 0 else 0.5 if margin == 0 else 0
    filled = [b for b in bins if b[0]]
    report = reliability.report()
    assert report.pairs == sum(b[0] for b in filled)
    assert report.count == [b[0] for b in filled]
    assert_allclose(report.claimed, [b[1] / b[0] for b in filled])
    assert_allclose(report.right, [b[2] / b[0] for b in filled])
    if filled:
        gaps = [b[0] * abs(b[1] / b[0] - b[2] / b[0]) for b in filled]
        assert_allclose(report.expected_calibration_error, sum(gaps) / report.pairs, atol=1e-12)
    else:
        assert report.expected_calibration_error is None


def test_a_model_with_true_probabilities_is_calibrated():
    random = np.random.default_rng(1)
    margin = random.normal(0, 2, 50_000)
    margin *= np.where(random.random(len(margin)) < 1 / (1 + np.exp(-np.abs(margin))), 1, -1) * np.sign(
        margin
    )
    calibrated, boastful = Reliability(), Reliability()
    calibrated.add(margin)
    boastful.add(3 * margin)
    assert calibrated.report().expected_calibration_error < 0.01
    assert boastful.report().expected_calibration_error > 0.1


def test_restored_reliability_is_the_same():
    reliability, restored = Reliability(), Reliability()
    reliability.add(np.array([0.5, -2.0, 0.0]))
    restored.restore(reliability.state())
    assert restored.report() == reliability.report()
