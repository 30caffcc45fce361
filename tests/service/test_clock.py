"""A service whose events are stamped by the held clock of a simulation."""

from pathlib import Path

import pytest

from easq.home.clock import HeldClock, real_ms
from easq.log.event_time import CONFIRMED_BY
from easq.service import log_clock
from easq.service.log_clock import LogClock
from tests.support.http_service import Served, serving, until

CALL = {"user_id": "u1", "candidates": ["a", "b"]}
HOUR_MS = 3_600_000


def test_weeks_pass_in_moments_and_windows_with_them(tmp_path: Path) -> None:
    with HeldClock(tmp_path) as clock, serving(tmp_path, now_ms=HeldClock(tmp_path).now_ms) as served:
        began_ms = clock.now_ms()
        first = served.http.post("/v1/rank", json=CALL).json()["request_id"]
        clock.set(began_ms + 1000 * HOUR_MS)
        last = served.http.post("/v1/rank", json=CALL).json()["request_id"]
        ts = {event.event_id: event.ts for event in served.logged()}
        assert (ts[first], ts[last]) == (began_ms, began_ms + 1000 * HOUR_MS)
        about = {"type": "behavior", "user_id": "u1", "items": ["a"], "values": {"like": [1.0]}}

        def send(event_id: str, request_id: str, ts: int) -> dict[str, str]:
            event = {**about, "event_id": event_id, "request_id": request_id, "ts": ts}
            (result,) = served.http.post("/v1/events", json={"events": [event]}).json()["results"]
            ids: dict[str, str] = result
            return ids

        assert "minutes ago" in send("a", first, began_ms)["reason"]
        assert "in the future" in send("b", last, began_ms + 1001 * HOUR_MS)["reason"]
        assert send("c", last, began_ms + 1000 * HOUR_MS)["status"] == "accepted"
        with pytest.raises(ValueError, match="time does not go back"):
            clock.set(began_ms)


YEAR_MS = 365 * 24 * HOUR_MS


def calls(served: Served) -> dict[str, int]:
    """Return the status of every kind of call that stamps something."""
    asked = {"user_id": "u1", "request_id": "r", "item_id": "a", "play_ms": 1e5, "ratio": 1.0}
    event = {"type": "behavior", "event_id": "e", "user_id": "u1", "request_id": "r", "items": []}
    bodies = {
        "POST /v1/rank": CALL,
        "POST /v1/events": {"events": [{**event, "values": {}}]},
        "PUT /v1/items": {"items": [{"item_id": "a", "features": {}}]},
        "POST /v1/questionnaire/offer": asked,
    }
    ways = {name: name.split(" ") for name in bodies}
    return {name: served.http.request(*ways[name], json=body).status_code for name, body in bodies.items()}


def test_a_clock_that_is_moved_stamps_nothing_until_it_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved_ms = 0
    monkeypatch.setattr(log_clock, "steady_ms", lambda: real_ms() - 1_000)
    with serving(tmp_path, now_ms=lambda: real_ms() + moved_ms, steady=log_clock.steady_ms) as served:
        assert set(calls(served).values()) == {200}
        written = len(served.logged())
        for step_ms in (YEAR_MS, -YEAR_MS, HOUR_MS):
            moved_ms = step_ms
            assert set(calls(served).values()) == {503}
            reply = str(served.http.post("/v1/rank", json=CALL).json())
            assert ("of this machine's clock" if step_ms < 0 else "clock was moved by") in reply
            assert served.http.get("/health/ready").status_code == 503
        assert len(served.logged()) == written
        moved_ms = log_clock.STEP_MS // 2
        assert set(calls(served).values()) == {200}
        assert served.http.get("/health/ready").status_code == 200


def test_rankings_of_one_moment_of_the_future_do_not_stop_what_comes_after(tmp_path: Path) -> None:
    now_ms = 1_700_000_000_000
    with serving(tmp_path, now_ms=lambda: now_ms) as served:
        served.http.post("/v1/rank", json=CALL)
        now_ms += YEAR_MS
        for _ in range(CONFIRMED_BY - 1):
            assert served.http.post("/v1/rank", json=CALL).status_code == 200
        now_ms -= YEAR_MS
        assert calls(served)["POST /v1/rank"] == 200


def test_a_log_of_the_future_is_told_and_nothing_is_acknowledged(tmp_path: Path) -> None:
    now_ms = 1_700_000_000_000
    with serving(tmp_path, now_ms=lambda: now_ms) as served:
        served.http.post("/v1/rank", json=CALL)
        now_ms += YEAR_MS
        for _ in range(CONFIRMED_BY):
            served.http.post("/v1/rank", json=CALL)
        now_ms -= YEAR_MS
        until(lambda: served.http.get("/health/ready").status_code == 503)
        assert set(calls(served).values()) == {503}
        error = str(served.http.get("/health/ready").json())
        assert "the log has come to a time 31,536,000 s ahead of this machine's clock" in error
        assert "easq repair" in error


def test_the_clock_may_be_held_or_lag_by_what_makes_nothing_late() -> None:
    now_ms, event_ms = 10_000, 10_000
    clock = LogClock(lambda: now_ms, lambda: event_ms, 500, None)
    assert clock.stamp() == 10_000
    event_ms = 10_500
    assert clock.problem() == ""
    event_ms, now_ms = 10_501, 10_000
    assert clock.problem()
    now_ms += YEAR_MS
    assert clock.problem() == ""
