"""What is known before the A/B of a demo: its truth, and how it stands beside what was found."""

import numpy as np
import pytest
from msgspec.structs import replace

from easq.cli.demo import _print_estimate
from easq.log.events import Request
from easq.prove.ab.effects import Effect
from easq.prove.closed_loop.before import (
    LiftEstimate,
    LiftInterval,
    MissingEstimate,
    RankingTruth,
    TrueRankings,
)
from easq.prove.closed_loop.outcome import _with_overlap
from easq.prove.offpolicy.arm_estimates import Sides
from easq.prove.offpolicy.estimators import ByEstimator

EFFECT = Effect(0.2, 0.3, 0.5, 0.4, 0.6, 0.01, 0.1, 1000, True)
INTERVAL = LiftInterval(0.3, 0.1, 0.45)
ESTIMATE = LiftEstimate(
    models=Sides("v2", "v1"), first_day="2023-11-16", last_day="2023-11-18", requests=4000, answers=1930,
    effective_answers=Sides(90.0, 95.0), warnings=["easq: its 90 answers are few"],
    true_satisfaction=RankingTruth(0.2, 0.25, 0.25),
    lift=0.3, low=0.1, high=0.45, lifts=ByEstimator(INTERVAL, INTERVAL), overlaps=True,
)  # fmt: skip


def request(name: str, items: list[str]) -> Request:
    return Request(event_id=name, user_id="u", ts=0, items=items, viewer={}, candidates={}, top=2)


def test_the_truth_of_rankings_is_that_of_their_first_items() -> None:
    truth = TrueRankings()
    items, satisfactions = np.array([[7, 3, 5], [1, 2, 9]]), np.array([[0.1, 0.2, 0.9], [0.4, 0.5, 0.6]])
    truth.add_visits([{"request_id": "a"}, {"request_id": "b"}], items, satisfactions.astype(np.float32))
    # Logged in another order; the first model puts i5 and i3 first, the second i7 and i3.
    truth.add_scores([request("a", ["i3", "i5", "i7"])], np.array([[2.0, 5.0], [3.0, 1.0], [1.0, 6.0]]))
    truth.add_scores([request("b", ["i1", "i2", "i9"])], np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]))
    result = truth.means()
    assert result.treatment == pytest.approx(((0.9 + 0.2) / 2 + (0.6 + 0.5) / 2) / 2)
    assert result.control == pytest.approx(((0.1 + 0.2) / 2 + (0.4 + 0.5) / 2) / 2)
    assert result.lift == pytest.approx(result.treatment / result.control - 1)


def test_equal_scores_do_not_follow_the_order_of_the_log() -> None:
    items, satisfactions = ["i3", "i5", "i7", "i9"], np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    means = []
    for logged in (items, items[::-1]):
        truth = TrueRankings()
        truth.add_visits([{"request_id": "a"}], np.array([[3, 5, 7, 9]]), satisfactions)
        truth.add_scores([request("a", logged)], np.ones((4, 2)))
        means.append(truth.means())
    assert means[0] == means[1]


def test_visits_of_days_that_count_are_not_kept() -> None:
    truth = TrueRankings()
    truth.records = False
    truth.add_visits([{"request_id": "a"}], np.array([[1]]), np.ones((1, 1), np.float32))
    assert not truth._visits


@pytest.mark.parametrize(("high", "overlaps"), [(0.45, True), (0.4, True), (0.39, False)])
def test_intervals_overlap_where_they_have_a_value_in_common(high: float, overlaps: bool) -> None:
    changed = _with_overlap(replace(ESTIMATE, high=high, overlaps=None), EFFECT)
    assert changed == replace(ESTIMATE, high=high, overlaps=overlaps)


def test_without_two_intervals_nothing_overlaps() -> None:
    assert _with_overlap(MissingEstimate("no answer"), EFFECT).overlaps is None
    assert _with_overlap(replace(ESTIMATE, overlaps=None), None).overlaps is None


def test_estimate_and_result_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    _print_estimate(ESTIMATE, EFFECT)
    text = " ".join(capsys.readouterr().out.split())
    assert "1,930 answers): satisfaction +30.0% (+10.0% to +45.0%)" in text
    assert "the A/B found +50.0% (+40.0% to +60.0%); the intervals overlap" in text
    assert "true satisfaction with the rankings that were estimated: +25.0%" in text
    assert "its 90 answers are few" in text
    _print_estimate(replace(ESTIMATE, overlaps=False), EFFECT)
    assert "the intervals do not overlap" in capsys.readouterr().out


def test_a_missing_estimate_gives_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    _print_estimate(MissingEstimate("its answers are worth 13 even ones and 30 are needed"), EFFECT)
    text = " ".join(capsys.readouterr().out.split())
    assert text == "estimated before the A/B: nothing, its answers are worth 13 even ones and 30 are needed"
