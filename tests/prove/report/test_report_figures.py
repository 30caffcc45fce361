"""Figures: what they show for plain results, and None where there is nothing to show."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easq.prove.report import figures
from easq.prove.report.curves import pooled
from easq.prove.report.draw import RUN_COLORS
from easq.prove.report.estimates import wilson
from easq.prove.report.run_labels import run_labels
from easq.prove.report.scorers import distinguishing, metrics, split
from easq.prove.report.spread import spread
from tests.support.run_result import point, result, silent, value

RUNS = [result("behavior"), result()]


def names(figure: object) -> list[str]:
    return [trace.name for trace in figure.data]  # type: ignore[attr-defined]


def test_top_dots_put_the_best_possible_first_and_references_last() -> None:
    figure = figures.top_dots(RUNS, "true_sat@3", "mean")
    assert figure.layout.yaxis.ticktext == ("Best possible", "Behavior only", "EASQ", "Popularity", "Random")
    assert [trace.x[0] for trace in figure.data] == pytest.approx([0.9, 0.61234, 0.64234, 0.55, 0.5])
    assert figure.data[1].marker.color == RUN_COLORS[0]
    assert figure.data[2].marker.color == RUN_COLORS[1]


def test_metric_dots_carry_intervals() -> None:
    figure = figures.metric_dots(RUNS, {"sat/auc": "AUC", "sat/mrr": "MRR"}, "value")
    assert names(figure) == ["Behavior only", "EASQ", "EASQ, satisfaction expert", "Popularity", "Random"]
    assert figure.data[0].error_x.array == pytest.approx((0.01, 0.01))
    assert len(figure.data[2].x) == 1
    rows = [y for trace in figure.data for y in trace.y]
    assert len(set(rows)) == len(rows)


def test_metric_without_bounds_is_a_dot_alone() -> None:
    run = result(metrics={"sat/auc": value(0.6, None), "sat/mrr": {"value": None, "low": None, "high": None}})
    figure = figures.metric_dots([run], {"sat/auc": "AUC", "sat/mrr": "MRR"}, "value")
    assert figure.data[0].x == (0.6,)
    assert figure.data[0].error_x.array == (0.0,)


def test_validity_is_a_relative_change_in_percent() -> None:
    figure = figures.validity_dots(RUNS[0])
    assert names(figure) == ["dissatisfied", "uncertain", "satisfied"]
    assert figure.data[2].x == pytest.approx((46.0, 46.0))
    assert figure.data[2].hovertext[0] == "+46 (+36 to +56)"


def test_curves_divide_sums_by_their_own_counts() -> None:
    halves = [
        {"views": 100.0, "steps": 2.0, "loss.dpo": 1.0, "active_satisfaction": 3.0, "satisfaction_steps": 1.0}
    ]
    run = result(curve=halves * 3)
    assert figures.loss_curves([run], "dpo").data[0].y == (0.5, 0.5, 0.5)
    assert figures.router_curves([run], "active_satisfaction").data[0].y == (3.0, 3.0, 3.0)
    assert figures.loss_curves([run], "dpo").data[0].x == (50.0, 150.0, 250.0)


def test_a_run_without_satisfaction_experts_has_no_line() -> None:
    assert names(figures.router_curves(RUNS, "active_satisfaction")) == ["EASQ", "all 3"]
    assert figures.router_curves(RUNS, "active_satisfaction").data[0].line.color == RUN_COLORS[1]
    assert figures.router_curves(RUNS[:1], "active_satisfaction") is None


def test_answers_are_pooled_until_there_are_enough() -> None:
    figure = figures.answer_shares(RUNS[0])
    assert len(figure.data[0].x) == 6
    assert figure.data[2].y == pytest.approx([0.5] * 6)
    assert figure.layout.xaxis.type == "date"
    assert figure.data[0].x[0] == pytest.approx(1.7e12 + 1.8e6)


def test_rates_have_a_strip_each() -> None:
    figure = figures.behavior_rates(RUNS[0])
    assert [trace.yaxis for trace in figure.data] == ["y", "y2"]
    assert figure.data[1].y == pytest.approx([0.06] * 12)


def test_reliability_shows_only_models_with_claims() -> None:
    assert names(figures.reliability(RUNS, "behavior")) == ["Behavior only", "EASQ"]
    assert names(figures.reliability(RUNS, "satisfaction")) == ["EASQ"]


def test_nothing_to_show_is_none() -> None:
    empty = [silent()]
    assert figures.top_dots(empty, "true_sat@3", "mean") is None
    assert figures.metric_dots(empty, {"sat/auc": "AUC"}, "value") is None
    assert figures.validity_dots(empty[0]) is None
    assert figures.loss_curves(empty, "main") is None
    assert figures.pair_curves(empty, "answer_pairs") is None
    assert figures.router_curves(empty, "active") is None
    assert figures.answer_shares(empty[0]) is None
    assert figures.behavior_rates(empty[0]) is None
    assert figures.reliability(empty, "behavior") is None
    assert figures.loss_curves([result(curve=[point("easq", 0)])], "main") is None


def test_names_are_shown_as_they_stand() -> None:
    run = result(name="<b>bold</b>", method="a < b")
    assert figures.top_dots([run], "true_sat@3", "mean").layout.yaxis.ticktext[1] == "a &lt; b"


def test_long_names_go_to_a_legend() -> None:
    figure = figures.pair_curves([result(name="a_name_that_is_far_too_long"), result(name="b")], "pairs")
    assert figure.layout.showlegend
    assert not figure.layout.annotations
    short = figures.pair_curves(RUNS, "pairs")
    assert not short.layout.showlegend
    assert [a.text for a in short.layout.annotations] == ["Behavior only", "EASQ", "coin toss"]


def test_runs_are_named_by_what_distinguishes_them() -> None:
    assert run_labels([result("behavior"), result()]) == ["Behavior only", "EASQ"]
    assert run_labels([result(name="a"), result(name="b")]) == ["a", "b"]
    assert run_labels([result(), result()]) == ["world, EASQ (1)", "world, EASQ (2)"]
    mixed = [result("behavior", name="a"), result(name="a"), result(name="b")]
    assert run_labels(mixed) == ["a, Behavior only", "a, EASQ", "b, EASQ"]


def test_cut_offs_that_distinguish_no_rankings_are_left_out() -> None:
    answers = [m for m in metrics(RUNS) if m.startswith("sat/")]
    assert answers[:3] == ["sat/auc", "sat/pair_accuracy", "sat/hr@1"]
    assert set(answers) - set(distinguishing(RUNS, answers)) == {"sat/hr@10", "sat/ndcg@20"}


def test_scorer_is_the_head_of_a_name() -> None:
    assert split("oracle/true_sat@3") == ("oracle", "true_sat@3")
    assert split("auc/like") == ("", "auc/like")
    assert split("pair_accuracy") == ("", "pair_accuracy")


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(1, 50), st.integers(1, 10))
def test_pooling_keeps_the_sums_and_fills_each_point(answers: list[int], least: int, most: int) -> None:
    pools = pooled([{"answers": float(n), "views": 10.0} for n in answers], "answers", least, most)
    assert len(pools) <= most
    assert all(p["answers"] >= least for p in pools)
    if sum(answers) >= max(least, 1):
        assert sum(p["answers"] for p in pools) == sum(answers)
        assert pools[-1]["until"] == 10.0 * len(answers)
    else:
        assert pools == []


@given(st.lists(st.floats(-1e3, 1e3), max_size=8))
def test_labels_are_spread_in_their_order(positions: list[float]) -> None:
    moved = spread(positions, 5.0)
    pairs = sorted(zip(positions, moved, strict=True))
    assert all(b[1] - a[1] >= 5.0 - 1e-6 for a, b in pairwise(pairs))


def test_wilson_interval_agrees_with_its_table() -> None:
    # Newcombe 1998, table I: 15 of 148 gives .0624 to .1605.
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
