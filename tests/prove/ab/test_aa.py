"""A difference where there is none is seen as often as the level says, and no more often by peeking."""

from pathlib import Path

import pytest
from scipy import stats

from easq.errors import InputError
from easq.prove.ab.aa import false_positives
from tests.support.ab_days import lived


def held(found: dict[str, dict[str, float]], runs: int) -> None:
    for name, share in found.items():
        fixed, always = round(share["fixed"] * runs), round(share["always"] * runs)
        assert stats.binomtest(fixed, runs, 0.05).pvalue > 0.001, (name, share)
        assert stats.binomtest(always, runs, 0.05, "greater").pvalue > 0.001, (name, share)


def test_false_positives_are_as_many_as_stated_short(tmp_path: Path) -> None:
    table = lived(tmp_path, days=8, viewers=400, views_per_day=8000)
    found = false_positives(table, ["satisfaction", "watch_time", "lt7"], 100, 0.95, 3, seed=1)
    held(found, 100)
    assert sum(f["peeking"] for f in found.values()) > sum(f["always"] for f in found.values())


def test_a_log_too_short_for_its_pre_period_is_told(tmp_path: Path) -> None:
    table = lived(tmp_path, days=2, viewers=60, views_per_day=500)
    with pytest.raises(InputError, match="--pre-days: got 9"):
        false_positives(table, ["watch_time"], 1, 0.95, 9, seed=1)


@pytest.mark.slow
def test_false_positives_are_as_many_as_stated_over_500_runs(tmp_path: Path) -> None:
    table = lived(tmp_path, days=21, viewers=2000, views_per_day=40_000)
    found = false_positives(table, [spec.name for spec in table.metrics.specs], 500, 0.95, 7, seed=1)
    for name, share in found.items():
        print(f"{name:16}" + "".join(f"{kind}: {value:6.1%}  " for kind, value in share.items()))
    held(found, 500)
