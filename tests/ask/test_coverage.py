"""Every line and branch of the rule and of the tokens is run by their own tests."""

import subprocess
import sys
from pathlib import Path


def test_policy_and_tokens_are_covered_whole(tmp_path: Path) -> None:
    here, data = Path(__file__).parent, f"--data-file={tmp_path / 'coverage'}"
    tests = [str(here / "test_policy.py"), str(here / "test_token.py")]
    only = "--include=*/easq/ask/policy.py,*/easq/ask/token.py"
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run(
        [*coverage, "run", data, "--branch", only, "-m", "pytest", "-p", "no:cacheprovider", *tests],
        check=True,
        cwd=here.parent.parent,
    )
    found = subprocess.run(
        [*coverage, "report", data, "--show-missing", "--fail-under=100"],
        capture_output=True,
        text=True,
        check=False,
        cwd=here.parent.parent,
    )
    assert found.returncode == 0, found.stdout
    assert found.stdout.count("100%") == 3, found.stdout
