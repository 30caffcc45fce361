"""The endurance benchmark in short: nothing fails, the learner keeps up and learns every answer."""

import json
import subprocess
import sys

import pytest

from tests.support.live_processes import environment
from tests.support.paths import BENCHMARKS

SOAK = BENCHMARKS / "soak.py"


@pytest.mark.slow
def test_a_short_soak_is_without_errors() -> None:
    command = [sys.executable, str(SOAK), "--seconds", "20", "--rate", "25", "--json"]
    done = subprocess.run(command, capture_output=True, env=environment(), timeout=180, check=True)
    result = json.loads(done.stdout)
    assert result["errors"] == {}
    assert result["restarts"] == 0
    assert result["rankings"] == 500
    assert result["answers_learned"] == result["answers_sent"] > 50
    assert result["max_lag_seconds"] < 2.0
    assert result["memory"].keys() == {"service", "learner"}
    assert all(role["mean"] > 50 for role in result["memory"].values())
