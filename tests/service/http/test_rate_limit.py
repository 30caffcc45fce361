"""Each limit is a 4xx that says the limit."""

from pathlib import Path

import pytest

from easq.service.http.error_replies import Refusal
from easq.service.http.keys import create_key
from easq.service.http.rate_limit import RateLimit
from tests.support.http_service import serving


def test_calls_beyond_a_limit_are_refused_and_the_limit_named(tmp_path: Path) -> None:
    small = [f"service.{name}" for name in ("max_candidates=3", "max_events=3", "max_puts=3")]
    with serving(tmp_path, *small, "service.max_body_bytes=2048") as served:
        four = ["a", "b", "c", "d"]
        cases = {
            "/v1/rank": (
                {"user_id": "u", "candidates": four},
                "candidates: got 4; allowed: 3 (service.max_candidates)",
            ),
            "/v1/events": ({"events": four}, "events: got 4; allowed in one call: 3 (service.max_events)"),
            "/v1/items": ({"items": four}, "items: got 4; allowed in one call: 3 (service.max_puts)"),
            "/v1/users": ({"users": four}, "users: got 4; allowed in one call: 3 (service.max_puts)"),
        }
        for path, (body, message) in cases.items():
            method = "PUT" if path in ("/v1/items", "/v1/users") else "POST"
            reply = served.http.request(method, path, json=body)
            assert (reply.status_code, reply.json()["error"]) == (
                413,
                {"code": "too_large", "message": message},
            )
            too_long = "the body is too large; allowed: 2048 bytes (service.max_body_bytes)"
            for content in (b" " * 2049, iter([b" " * 1024] * 3)):
                headers = {"content-type": "application/json"}
                reply = served.http.request(method, path, content=content, headers=headers)
                assert (reply.status_code, reply.json()["error"]["message"]) == (413, too_long)
        assert not served.logged()


def test_a_key_over_its_rate_gets_a_retry_after(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    busy, other = create_key(path, "server", ""), create_key(path, "server", "")
    with serving(tmp_path, "service.requests_per_second=0.01") as served:

        def call(token: str) -> int:
            headers = {"authorization": f"Bearer {token}"}
            return served.http.post("/v1/events", json={"events": []}, headers=headers).status_code

        assert call(busy) == 200
        reply = served.http.post("/v1/events", json={}, headers={"authorization": f"Bearer {busy}"})
        assert reply.status_code == 429
        assert 90 <= int(reply.headers["retry-after"]) <= 100
        assert (
            "0.01 requests a second with this key (service.requests_per_second"
            in reply.json()["error"]["message"]
        )
        assert call(other) == 200
        assert served.http.get("/health/ready").status_code == 200


def test_a_bucket_lets_bursts_pass_and_then_the_rate() -> None:
    rates, passed = RateLimit(10), 0
    for step in range(1000):
        try:
            rates.take("k", step / 100)
        except Refusal:
            continue
        passed += 1
    assert passed == 20 + 10 * 10 - 1
    RateLimit(0).take("k", 0.0)
    with pytest.raises(Refusal, match="more than 10 requests a second"):
        for _ in range(21):
            rates.take("k", 100.0)


def test_one_page_that_floods_the_public_key_holds_up_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    viewer, server = create_key(path, "viewer", ""), create_key(path, "server", "")
    with serving(tmp_path, "service.requests_per_second=0.01") as served:

        def call(token: str, address: str) -> int:
            headers = {"authorization": f"Bearer {token}", "x-forwarded-for": address}
            return served.http.post("/v1/questionnaire/shown", json={}, headers=headers).status_code

        assert [call(viewer, "9.9.9.9") for _ in range(3)] == [400, 429, 429]
        assert [call(viewer, f"8.8.8.{n}") for n in range(20)] == [400] * 20
        # A server's key is one caller wherever it comes from.
        assert [call(server, f"8.8.8.{n}") for n in range(3)] == [400, 429, 429]
