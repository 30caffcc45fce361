"""A difference where there is none is seen as often as the level says, and no more often by peeking."""

from pathlib import Path

import pytest
from msgspec import structs
from scipy import stats

from easq.errors import InputError
from easq.prove.ab.aa import false_positives
from easq.prove.ab.results import AaResult
from tests.support.ab_days import simulated_days


def check_levels(result: AaResult) -> None:
    for name, share in result.metrics.items():
        runs = result.runs
        fixed, always = round(share.fixed * runs), round(share.always * runs)
        assert stats.binomtest(fixed, runs, 0.05).pvalue > 0.001, (name, share)
        assert stats.binomtest(always, runs, 0.05, "greater").pvalue > 0.001, (name, share)


def test_false_positives_are_as_many_as_stated_short(tmp_path: Path) -> None:
    table = simulated_days(tmp_path, days=8, viewers=400, views_per_day=8000)
    result = false_positives(table, ["satisfaction", "watch_time", "lt7"], 100, 0.95, 3, seed=1)
    assert result.runs == 100
    check_levels(result)
    shares = result.metrics.values()
    assert sum(s.peeking for s in shares) > sum(s.always for s in shares)


def test_a_log_too_short_for_its_pre_period_is_reported(tmp_path: Path) -> None:
    table = simulated_days(tmp_path, days=2, viewers=60, views_per_day=500)
    with pytest.raises(InputError, match="--pre-days: got 9"):
        false_positives(table, ["watch_time"], 1, 0.95, 9, seed=1)


@pytest.mark.slow
def test_false_positives_are_as_many_as_stated_over_500_runs(tmp_path: Path) -> None:
    table = simulated_days(tmp_path, days=21, viewers=2000, views_per_day=40_000)
    result = false_positives(table, [spec.name for spec in table.metrics.specs], 500, 0.95, 7, seed=1)
    for name, share in result.metrics.items():
        shares = structs.asdict(share).items()
        print(f"{name:16}" + "".join(f"{kind}: {value:6.1%}  " for kind, value in shares))
    assert result.runs == 500
    check_levels(result)
