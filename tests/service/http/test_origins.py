"""What pages of other sites may do, in the browser of somebody who reaches the service."""

from pathlib import Path

import httpx
import pytest

from easq.service.http.error_replies import unavailable
from easq.service.http.keys import create_key
from easq.service.http.turns import Turns
from tests.support.http_service import Served, serving

RANK = {"user_id": "u", "candidates": ["a"]}
PLAYER = "https://player.example"


def status(served: Served, path: str = "/v1/rank", **headers: str) -> int:
    # A page may send this without asking first: no content type is JSON's.
    reply = served.http.post(path, content=b'{"user_id": "u", "candidates": ["a"]}', headers=headers)
    return reply.status_code


def test_an_open_service_takes_no_call_of_a_page_of_another_origin(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        own = served.url
        port = own.rpartition(":")[2]
        assert status(served) == 200
        assert status(served, origin=own) == 200
        assert status(served, origin=own.replace("http", "https")) == 200
        for origin in (
            "https://evil.example",
            "null",
            f"http://127.0.0.1:{int(port) + 1}",
            f"{own}.evil.example",
        ):
            assert status(served, origin=origin) == 403, origin
            assert served.http.get("/v1/status", headers={"origin": origin}).status_code == 403
        reply = served.http.put("/v1/items", json={"items": []}, headers={"origin": "https://evil.example"})
        assert reply.json()["error"] == {
            "code": "forbidden",
            "message": "origin: got 'https://evil.example'; a service without keys answers to its own pages, "
            "and pages of ask.origins may ask; make a key with `easq keys create`",
        }


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8377", "127.0.0.1.evil.example", "8.8.8.8", "["]
)
def test_an_open_service_answers_under_a_name_of_this_machine_alone(tmp_path: Path, host: str) -> None:
    with serving(tmp_path) as served:
        assert status(served, host=host) == 403
        assert status(served, host=host, origin=f"http://{host}") == 403
        assert served.http.get("/v1/status", headers={"host": host}).status_code == 403
        assert served.http.get("/health/ready", headers={"host": host}).status_code == 200
        for own in ("localhost", "LOCALHOST:1", "127.0.0.1", "127.8.8.8:80", "[::1]:8377", "localhost.:1"):
            assert status(served, host=own) == 200, own


def test_pages_that_may_ask_may_do_nothing_else(tmp_path: Path) -> None:
    for origins, origin in ((f'["{PLAYER}"]', PLAYER), ('["*"]', PLAYER)):
        with serving(tmp_path, f"ask.origins={origins}") as served:
            # The call is reached, and says that its body is not one.
            assert status(served, "/v1/questionnaire/offer", origin=origin) == 400
            assert status(served, origin=origin) == 403


@pytest.mark.parametrize(
    ("allowed", "origin", "may"),
    [
        ("capacitor://localhost", "capacitor://localhost", True),
        ("ionic://localhost", "ionic://localhost", True),
        ("ionic://localhost", "capacitor://localhost", False),
        ("https://*.player.example", "https://tv.player.example", True),
        ("https://*.player.example", "https://a.b.player.example", True),
        ("https://*.player.example", "https://player.example", False),
        ("https://*.player.example", "http://tv.player.example", False),
        ("https://*.player.example", "https://tv.player.example.evil.example", False),
        ("https://*.player.example", "https://tvplayer.example", False),
        ("https://player.example", "https://playerxexample", False),
    ],
)
def test_origins_of_apps_and_below_a_name_may_ask(
    tmp_path: Path, allowed: str, origin: str, may: bool
) -> None:
    with serving(tmp_path, f'ask.origins=["{allowed}"]') as served:
        assert status(served, "/v1/questionnaire/offer", origin=origin) == (400 if may else 403)
        headers = {"origin": origin, "access-control-request-method": "POST"}
        asked = served.http.options("/v1/questionnaire/offer", headers=headers)
        assert (asked.headers.get("access-control-allow-origin") == origin) is may


def test_a_page_can_read_that_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And may ask whether it may call, as ever."""
    path, page = "/v1/questionnaire/offer", {"origin": PLAYER}
    asks = page | {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}

    def access(reply: httpx.Response) -> dict[str, str]:
        return {name: value for name, value in reply.headers.items() if name.startswith("access-control")}

    with serving(tmp_path, f'ask.origins=["{PLAYER}"]') as served:
        before = [served.http.options(path, headers=asks), served.http.post(path, json={}, headers=page)]
        monkeypatch.setattr(Turns, "refusal", lambda _: unavailable("overloaded", "no room"))
        after = [served.http.options(path, headers=asks), served.http.post(path, json={}, headers=page)]
        assert [reply.status_code for reply in before + after] == [204, 400, 204, 503]
        assert list(map(access, before)) == list(map(access, after))
        assert after[1].headers["access-control-allow-origin"] == PLAYER
        assert after[1].headers["vary"] == before[1].headers["vary"]
        assert after[1].headers["retry-after"] == "1"
        assert after[1].json()["error"]["code"] == "overloaded"
        for headers in ({}, {"origin": served.url}):
            reply = served.http.post("/v1/rank", json=RANK, headers=headers)
            assert (reply.status_code, access(reply)) == (503, {})
        evil = served.http.post(path, json={}, headers={"origin": "https://evil.example"})
        assert evil.status_code == 403


def test_with_keys_any_name_and_page_may_call_who_has_one(tmp_path: Path) -> None:
    key = create_key(tmp_path / "keys.json", "admin", "")
    with serving(tmp_path, f'ask.origins=["{PLAYER}"]', token=key) as served:
        assert status(served, host="ranking.example", origin="https://admin.example") == 200
        for path in ("/v1/rank", "/v1/status", "/health/ready"):
            for method in ("GET", "POST", "OPTIONS"):
                headers = {"origin": PLAYER, "access-control-request-method": "POST"}
                reply = served.http.request(method, path, headers=headers)
                assert not [name for name in reply.headers if name.startswith("access-control")], (
                    method,
                    path,
                )
        headers = {"origin": PLAYER, "access-control-request-method": "POST"}
        reply = served.http.options("/v1/questionnaire/offer", headers=headers)
        assert reply.headers["access-control-allow-origin"] == PLAYER
