"""A role that dies is started again, soon at first and then with pauses."""

import sys

import pytest

from easq.service import supervisor as up
from easq.service.supervisor import Child, Pace


def test_pauses_grow_with_early_deaths_and_end_with_a_good_life(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(up.time, "monotonic", lambda: now)
    child = Child("learner", [sys.executable, "-c", "raise SystemExit(3)"])

    def live(seconds: float) -> float:
        """Start it, end it after so long and return the pause that it then makes."""
        nonlocal now
        child.start_if_due()
        assert child.process is not None
        child.process.wait()
        now += seconds
        assert child.death() == 3
        assert child.death() is None, "a death is reported once"
        begun = now
        now = begun + max(child.pause_s - 0.1, 0.0)
        if child.pause_s:
            child.start_if_due()
            assert child.process is None
        now = begun + child.pause_s
        return child.pause_s

    assert [live(1.0) for _ in range(8)] == [0, 1, 2, 4, 8, 16, 30, 30]
    assert [live(40.0), live(1.0), live(1.0)] == [0, 1, 2]
    child.stop()


def test_rates_begin_anew_with_a_service_that_was_started_again() -> None:
    pace = Pace()
    status = {"ready": True, "version": "v1"}
    pace.line({**status, "at": 1.0, "rankings": 50.0, "events_accepted": 9.0}, {})
    pace.line({**status, "at": 2.0, "rankings": 0.0, "events_accepted": 0.0}, {})
    line = pace.line({**status, "at": 3.0, "rankings": 4.0, "events_accepted": 2.0}, {})
    assert line.startswith("4.0 rankings/s, 2.0 events/s")
