"""One profile for all property tests, the order of the rest, and which of them `make check` leaves out."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Threads of torch that spin while they wait take cores from the other processes of a test.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Shared machines are slow at times, which is no failure.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

TESTS = Path(__file__).parent
BROWSER = TESTS / "e2e" / "browser"
# Folders and files that start whole systems, drive a browser, train for long or draw many samples.
LONG = (
    "ask/test_coverage.py",
    "benchmarks",
    "cli",
    "e2e",
    "learn/test_privacy.py",
    "model/methods/test_methods.py",
    "prove/ab/test_aa.py",
    "prove/ab/test_ab_report.py",
    "prove/ab/test_reading.py",
    "prove/answers/test_validity.py",
    "prove/bench/test_runner.py",
    "prove/offline/test_replay.py",
    "rank/test_export.py",
    "service/http/test_auth.py",
    "service/http/test_openapi.py",
    "service/test_dashboard.py",
    "service/test_log_down.py",
    "service/test_service_process.py",
    "sources/datasets/test_kuairand.py",
    "sources/datasets/test_laws.py",
    "test_docs.py",
    "test_packages.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is long, and put what drives a browser last: its library leaves an event loop running."""
    long = [TESTS / name for name in LONG]
    if missing := [str(path) for path in long if not path.exists()]:
        raise pytest.UsageError(f"LONG in tests/conftest.py names what is not there: {', '.join(missing)}")
    for item in items:
        if any(item.path == path or path in item.path.parents for path in long):
            item.add_marker("long")
    items.sort(key=lambda item: BROWSER in item.path.parents)
