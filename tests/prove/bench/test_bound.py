"""Bounds: the price is met, nothing at that price is better, and a pass knows what it needs."""

import os
from pathlib import Path

import numpy as np
import pytest

from easq.errors import InputError
from easq.prove.bench.bench_report import write
from easq.prove.bench.bound import BOUNDS, Bound, MeasuredRequests
from easq.prove.bench.linear import LinearSettings
from easq.prove.bench.measure import Lists, Measure
from easq.prove.bench.plan import BenchArm, BenchWorld, Cell, passes, read_plan
from easq.prove.bench.runner import Bench, run
from easq.prove.bench.world_pass import Sitting, run_pass
from tests.support.paths import RECIPES

PLAN = """
candidates = 20

[sizes.tiny]
views = 6000
answers = 0.02
seeds = [1]
experiments = ["compare", "bound"]

[experiments.compare]
title = "Methods"
scenarios = ["main"]
methods = ["behavior", "probe", "oracle"]

[experiments.bound]
title = "Bounds"
scenarios = ["main"]
figure = "bound"
methods = ["behavior", "probe", "oracle", "true_behavior", "bound@1%", "bound@1% of true_behavior"]
"""
SITTING = Sitting(20, 0.5, LinearSettings())


def bench_in(folder: Path, plan: str = PLAN) -> Bench:
    (folder / "plan.toml").write_text(plan)
    whole = read_plan(folder / "plan.toml")
    methods = RECIPES / "bench" / "methods"
    return Bench(RECIPES / "world.toml", methods, whole, whole.sizes["tiny"], folder / "out")


def made_up(num: int = 4000) -> tuple[Lists, np.ndarray]:
    """Return requests in which satisfaction and behavior agree in part, and a learned behavior."""
    random = np.random.default_rng(1)
    expected_BC, satisfaction_BC, learned_BC = random.random((3, num, 20))
    satisfaction_BC = 0.4 * expected_BC + 0.6 * satisfaction_BC
    level_BC = (random.random((num, 20)) < expected_BC).astype(np.float32)
    lists = Lists(level_BC, satisfaction_BC, np.full((num, 20), -1), expected_BC)
    return lists, 4 * expected_BC + learned_BC


def measured(lists: Lists, score_BC: np.ndarray) -> dict[str, float]:
    measure = Measure(2)
    measure.add(lists, score_BC)
    return measure.values()


@pytest.fixture(scope="module")
def values() -> dict[str, dict[str, float]]:
    """Return the metrics of every bound and of the bases, on requests that are made up."""
    lists, learned_BC = made_up()
    requests = MeasuredRequests()
    requests.add(lists, learned_BC)
    result = {"behavior": measured(lists, learned_BC)}
    result["true_behavior"] = measured(lists, lists.expected_BC)
    for name, bound in BOUNDS.items():
        measure = Measure(2)
        requests.measure(bound, measure)
        result[name] = measure.values()
    return result


@pytest.mark.parametrize("name", BOUNDS)
def test_the_price_of_a_bound_is_met(name: str, values: dict[str, dict[str, float]]) -> None:
    base = "true_behavior" if BOUNDS[name].is_of_truth else "behavior"
    kept = values[name]["expected_behavior@3"] / values[base]["expected_behavior@3"]
    assert kept == pytest.approx(1 - BOUNDS[name].price, abs=1e-3)
    assert values[name]["true_sat@3"] > values[base]["true_sat@3"]


def test_no_other_ranking_at_the_price_of_a_bound_satisfies_more(values: dict[str, dict[str, float]]) -> None:
    lists, _ = made_up()
    random = np.random.default_rng(2)
    bound = values["bound@5%"]
    for spread in (0.03, 0.1, 0.3):
        for share in np.linspace(0, 1, 11):
            mixed_BC = (1 - share) * lists.expected_BC + share * lists.truth_BC
            other = measured(lists, mixed_BC + spread * random.standard_normal(mixed_BC.shape))
            if other["expected_behavior@3"] >= bound["expected_behavior@3"]:
                assert other["true_sat@3"] < bound["true_sat@3"]


def test_knowing_behavior_is_worth_something(values: dict[str, dict[str, float]]) -> None:
    for price in ("0.5%", "1%", "2%", "5%"):
        known, learned = values[f"bound@{price}"], values[f"bound@{price}, learned behavior"]
        assert known["true_sat@3"] > learned["true_sat@3"]


def test_a_bound_is_the_oracle_where_satisfaction_costs_less_than_the_price() -> None:
    lists, _ = made_up(300)
    requests, measure = MeasuredRequests(), Measure(2)
    requests.add(lists, -lists.expected_BC)
    requests.measure(Bound(0.01), measure)
    narrow_BC = lists.truth_BC.astype(np.float32)
    assert measure.values()["true_sat@3"] == pytest.approx(measured(lists, narrow_BC)["true_sat@3"])


def test_a_method_that_costs_less_than_the_price_is_compared_at_the_price_too() -> None:
    lists, learned_BC = made_up()
    requests = MeasuredRequests()
    requests.add(lists, learned_BC)
    assert requests.at_prices("frugal") == {}
    requests.add_scores("frugal", learned_BC + 0.5 * lists.truth_BC)
    requests.add_scores("spender", learned_BC + 5.0 * lists.truth_BC)
    frugal, spender = requests.at_prices("frugal"), requests.at_prices("spender")
    assert frugal == pytest.approx(spender, abs=1e-3)
    assert frugal["true_sat@3 at 0.5%"] < frugal["true_sat@3 at 1%"] < frugal["true_sat@3 at 5%"]


@pytest.mark.parametrize("scenario", ["main", "bait"])
def test_bounds_of_a_world_are_above_its_methods(scenario: str, tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    names = ["probe", "behavior", "true_behavior", "oracle", "random", *BOUNDS]
    cells = [Cell(BenchArm(name, name), BenchWorld(scenario, 0.01, 1.0, 20_000), 1) for name in names]
    result = run_pass([(cell, bench.recipe_of(cell)) for cell in cells], SITTING)
    by_name = dict(zip(names, result, strict=True))
    satisfied, expected = (
        {name: row[metric] for name, row in by_name.items()}
        for metric in ("true_sat@3", "expected_behavior@3")
    )
    assert max(expected, key=expected.__getitem__) == "true_behavior"
    for name, bound in BOUNDS.items():
        base = "true_behavior" if bound.is_of_truth else "behavior"
        least = (1 - bound.price) * expected[base]
        assert expected[name] >= least - 1e-6
        # So short a world leaves a base that may have less behavior than the ranking by satisfaction.
        assert expected[name] == pytest.approx(max(least, expected["oracle"]), rel=1e-3)
        if not bound.is_learned:
            assert satisfied[name] >= max(satisfied[m] for m in names[:5] if expected[m] >= least)
    # What is expected is what is drawn: 1,500 views of the first three have a standard error of .015.
    assert all(abs(row["behavior@3"] - row["expected_behavior@3"]) < 0.06 for row in result)


def test_a_pass_that_needs_no_levels_has_none(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    cell = Cell(BenchArm("oracle", "oracle"), BenchWorld("main", 0.01, 1.0, 2000), 1)
    (row,) = run_pass([(cell, bench.recipe_of(cell))], SITTING)
    assert "expected_behavior@3" not in row


def test_a_bound_without_its_base_is_refused(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    with pytest.raises(InputError, match="bound@1% is measured against the method behavior"):
        list(passes(bench.plan, bench.size, methods=("bound@1%",)))
    cell = Cell(BenchArm("bound@1%", "bound@1%"), BenchWorld("main", 0.01, 1.0, 2000), 1)
    with pytest.raises(InputError, match="put behavior first"):
        run_pass([(cell, bench.recipe_of(cell))], SITTING)


def test_three_candidates_leave_nothing_to_choose(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    names, place = ("behavior", "bound@1%"), BenchWorld("main", 0.01, 1.0, 2000)
    pairs = [(cell, bench.recipe_of(cell)) for cell in (Cell(BenchArm(n, n), place, 1) for n in names)]
    with pytest.raises(InputError, match="candidates: got 3; allowed with bounds: more than 3"):
        run_pass(pairs, Sitting(3, 0.5, LinearSettings()))


def test_a_bound_that_is_added_later_runs_its_base_again_and_nothing_else(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    run(bench, only=("compare",))
    for path in bench.out.glob("cells/*.json"):
        os.utime(path, (0, 0))
    run(bench)
    again = {row["method"] for row in bench.rows("bound")}
    assert again == {"behavior", "probe", "oracle", "true_behavior", "bound@1%", "bound@1% of true_behavior"}
    old = [path for path in bench.out.glob("cells/*.json") if path.stat().st_mtime == 0]
    assert len(old) == 2
    with_levels = {row["method"] for row in bench.rows("bound") if row["metric"] == "expected_behavior@3"}
    assert with_levels == again - {"probe", "oracle"}


def test_the_report_has_shares_of_the_bounds_and_a_figure(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    run(bench)
    write(bench)
    table = (bench.out / "report" / "bound.md").read_text()
    assert "| share of bound@1% |" in table
    assert "against the bounds of true_behavior" in table
    drawn = (bench.out / "report" / "bound.svg").read_text()
    assert "behavior and satisfaction known" in drawn
    assert "expected_behavior@3 given up" in drawn
    assert ">probe<" in drawn
    # Beside the bounds every method has the metric, although another experiment stands before them.
    rows = bench.rows("compare")
    assert {r["method"] for r in rows if r["metric"] == "expected_behavior@3"} == {
        "behavior", "probe", "oracle"
    }  # fmt: skip
