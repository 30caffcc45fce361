import numpy as np
import pytest
from scipy.stats import t

from easq.prove.bench.compare import _T_975, SeedTable, interval
from easq.prove.bench.row_store import MetricRow
from easq.prove.bench.tune import Trial, winner


def rows(**values: list[float]) -> list[MetricRow]:
    return [
        {"method": m, "scenario": "main", "seed": s, "metric": "x", "value": v}
        for m, result in values.items()
        for s, v in enumerate(result)
    ]


def test_students_quantiles() -> None:
    assert pytest.approx([t.ppf(0.975, n) for n in range(1, 21)], abs=5e-4) == _T_975


def test_interval_covers_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    drawn = [interval(list(random.normal(0.3, 1.0, 5))) for _ in range(2000)]
    covered = np.mean(
        [g.low <= 0.3 <= g.high for g in drawn if g and g.low is not None and g.high is not None]
    )
    assert 0.935 < covered < 0.965


def test_gains_are_paired_by_seed() -> None:
    table = SeedTable(rows(a=[1.0, 11.0, 21.0], b=[0.5, 10.4, 20.6], oracle=[2.0, 12.0, 22.0]))
    gain = table.gain("main", "a", "b", "x")
    assert gain is not None
    assert gain.value == pytest.approx(0.5)
    assert gain.low is not None
    assert gain.low > 0.2
    closed = table.share_closed("main", "a", "b", "x")
    assert closed is not None
    assert closed.value == pytest.approx(np.mean([0.5 / 1.5, 0.6 / 1.6, 0.4 / 1.4]))


def test_seeds_that_one_method_lacks_are_left_out() -> None:
    gain = SeedTable(rows(a=[1.0, 2.0, 3.0], b=[0.0])).gain("main", "a", "b", "x")
    assert gain == (1.0, None, None, 1)
    assert SeedTable(rows(a=[1.0])).gain("main", "a", "b", "x") is None


def test_winner_is_the_best_that_costs_little_enough() -> None:
    result = [Trial(("a",), 0.3, 0.02), Trial(("b",), 0.2, 0.01), Trial(("c",), 0.1, -0.01)]
    assert winner(result).set == ("b",)
    assert winner(result, most_cost=0.05).set == ("a",)
    assert winner(result[:1]).set == ("a",)
    assert winner([Trial(("a",), 0.3, 0.04), Trial(("b",), 0.0, 0.03)]).set == ("b",)


def test_mean_gain_is_over_metrics_and_paired_by_seed() -> None:
    result = rows(a=[1.1, 2.4], b=[1.0, 2.0, 9.0])
    result += [row | {"metric": "y"} for row in rows(a=[3.0, 1.0], b=[2.0, 1.0])]
    gain = SeedTable(result).mean_gain("main", "a", "b", ["x", "y"])
    assert gain is not None
    assert gain.seeds == 2
    assert gain.value == pytest.approx(np.mean([(0.1 + 0.5) / 2, (0.2 + 0.0) / 2]))
    assert SeedTable(result).mean_gain("main", "a", "c", ["x", "y"]) is None
