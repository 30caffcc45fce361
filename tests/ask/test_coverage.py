"""Every line and branch of the rules and of the tokens is run by their own tests."""

import subprocess
import sys
from pathlib import Path


def test_policies_and_tokens_are_covered_whole(tmp_path: Path) -> None:
    here, data = Path(__file__).parent, f"--data-file={tmp_path / 'coverage'}"
    names = ("policy", "adaptive", "token")
    tests = [str(here / f"test_{name}.py") for name in names]
    only = "--include=" + ",".join(f"*/easq/ask/{name}.py" for name in names)
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run(
        [*coverage, "run", data, "--branch", only, "-m", "pytest", "-p", "no:cacheprovider", *tests],
        check=True,
        cwd=here.parent.parent,
    )
    result = subprocess.run(
        [*coverage, "report", data, "--show-missing", "--fail-under=100"],
        capture_output=True,
        text=True,
        check=False,
        cwd=here.parent.parent,
    )
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("100%") == 4, result.stdout
