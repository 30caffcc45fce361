"""The course of a learner: few points, and no step left out of them."""

from easq.learn.learner import StepResult
from easq.learn.trend import Trend


def a_step(loss: float) -> StepResult:
    none: object = None
    return StepResult(none, none, none, None, {"main": loss}, 2.0, None, loss)  # type: ignore[arg-type]


def test_a_long_life_is_as_many_points_as_a_short_one_and_keeps_every_step() -> None:
    trend, num = Trend(), 1000
    for number in range(num):
        trend.add(number, number + 1, a_step(number + 0.5), 0.5)
    points = trend.points
    assert len(points) <= 96
    assert sum(p.steps for p in points) == num
    weighted = sum(p.losses["main"] * p.steps for p in points) / num
    assert abs(weighted - num / 2) < 1e-9
    assert abs(sum(p.gradient * p.steps for p in points) / num - num / 2) < 1e-9
    assert [p.seq for p in points] == sorted(p.seq for p in points)
    assert (points[-1].seq, trend.last.losses) == (num, {"main": 999.5})
