"""A service whose events are stamped by the fast clock of a simulation."""

import time
from pathlib import Path

from tests.service.serving import serving

CALL = {"user_id": "u1", "candidates": ["a", "b"]}
HOUR_MS = 3_600_000


def test_days_pass_in_moments_and_windows_with_them(tmp_path: Path) -> None:
    # Half an hour of real time ago both clocks stood together: 2,000 times that are six weeks.
    began_ms = int(time.time() * 1000) - HOUR_MS // 2
    with serving(tmp_path, "clock.scale=2000", f"clock.since_ms={began_ms}") as served:
        first = served.http.post("/v1/rank", json=CALL).json()["request_id"]
        time.sleep(0.1)
        served.http.post("/v1/rank", json=CALL)
        one, other = sorted(served.logged(), key=lambda event: event.ts)
        passed = one.ts - began_ms
        assert 1000 * HOUR_MS <= passed < 1100 * HOUR_MS
        assert 200_000 <= other.ts - one.ts < 2_000_000
        said = {"type": "behavior", "event_id": "b", "user_id": "u1", "request_id": first}
        said |= {"items": ["a"], "values": {"like": [1.0]}}
        for ts, reason in ((began_ms, "minutes ago"), (one.ts + 100 * HOUR_MS, "in the future")):
            (result,) = served.http.post("/v1/events", json={"events": [{**said, "ts": ts}]}).json()[
                "results"
            ]
            assert reason in result["reason"]
        (result,) = served.http.post("/v1/events", json={"events": [{**said, "ts": one.ts}]}).json()[
            "results"
        ]
        assert result["status"] == "accepted"
