"""A service whose events are stamped by the held clock of a simulation."""

from pathlib import Path

import pytest

from easq.home.clock import HeldClock
from tests.support.http_service import serving

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
