"""Who may call what: scopes, forged and revoked keys, and addresses that need keys."""

from pathlib import Path

import pytest

from easq.errors import InputError
from easq.service.http.keys import Keys, create_key, revoke_key
from easq.service.http.server import check_address
from tests.service.test_pages import DEMO
from tests.support.http_service import Served, serving, until

RANK = {"user_id": "u1", "candidates": ["a", "b"]}
SERVER = [("POST", "/v1/rank"), ("POST", "/v1/events"), ("PUT", "/v1/items"), ("PUT", "/v1/users")]
VIEWER = [
    ("POST", f"/v1/questionnaire/{name}") for name in ("offer", "shown", "answer", "dismiss", "ignored")
]
VIEW = {"user_id": "u1", "request_id": "r1", "item_id": "a", "play_ms": 9000, "ratio": 0.9}
ADMIN = [("GET", f"/{path}") for path in ("metrics", "v1/status", "v1/dashboard", "v1/dashboard/board")]
OPEN = [
    *(("GET", f"/{path}") for path in ("health/live", "health/ready", "schema", "widget/easq.js")),
    # The page itself; what it shows is behind the admin's key.
    *(("GET", f"/dashboard{path}") for path in ("", "/dashboard.css", "/dashboard.js", "/plotly.js")),
]
WITHOUT_KEYS = [("GET", path) for path in DEMO]  # and gone with the first, see test_pages
BODIES = {
    "/v1/rank": RANK,
    "/v1/events": {"events": []},
    "/v1/items": {"items": []},
    "/v1/users": {"users": []},
    "/v1/questionnaire/offer": VIEW,
}


def statuses(served: Served, token: str | None) -> dict[str, int]:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    result = {}
    for method, path in SERVER + VIEWER + ADMIN + OPEN:
        reply = served.http.request(method, path, json=BODIES.get(path), headers=headers)
        result[path] = reply.status_code
        if reply.status_code in (401, 403):
            assert set(reply.json()) == {"error"}
    return result


def test_each_scope_opens_its_own_routes_and_no_others(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    server, viewer, admin = (create_key(keys, scope, "") for scope in ("server", "viewer", "admin"))
    with serving(tmp_path) as served:
        of_server, of_viewer, of_admin, of_all = (
            {path for _, path in group} for group in (SERVER, VIEWER, ADMIN, OPEN)
        )
        # Without a body of its own the route is reached, and says that the body is not one.
        asks = dict.fromkeys(of_viewer, 400) | {"/v1/questionnaire/offer": 200}
        expected = dict.fromkeys(of_all, 200)
        nobody = expected | dict.fromkeys(of_server | of_viewer | of_admin, 401)
        assert statuses(served, None) == nobody
        assert statuses(served, server) == (
            expected | asks | dict.fromkeys(of_server, 200) | dict.fromkeys(of_admin, 403)
        )
        assert statuses(served, viewer) == expected | asks | dict.fromkeys(of_server | of_admin, 403)
        assert statuses(served, admin) == expected | asks | dict.fromkeys(of_server | of_admin, 200)
        every = {(m, route.path) for route in served.app.routes for m in route.methods if m != "OPTIONS"}
        heads = {("HEAD", path) for method, path in (*ADMIN, *OPEN, *WITHOUT_KEYS) if method == "GET"}
        assert every == {*SERVER, *VIEWER, *ADMIN, *OPEN, *WITHOUT_KEYS, *heads}
        forged = server[:18] + admin[18:]
        for token in (forged, server[:-1], server + "A", "easq_x_y", server.removeprefix("easq_")):
            assert statuses(served, token) == nobody
        for header in (server, f"Basic {server}", "Bearer", f"Bearer\t{server}", "Bearer " + "\xff" * 50):
            reply = served.http.post(
                "/v1/rank", json=RANK, headers={"authorization": header.encode("latin-1")}
            )
            assert reply.status_code == 401
            assert reply.headers["www-authenticate"] == "Bearer"


def test_a_refusal_names_the_scope_that_is_needed(tmp_path: Path) -> None:
    token = create_key(tmp_path / "keys.json", "viewer", "")
    with serving(tmp_path, token=token) as served:
        message = served.http.post("/v1/rank", json=RANK).json()["error"]["message"]
    assert message == "the key's scope is viewer; allowed here: server, admin"


def test_keys_come_and_go_while_the_service_runs(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with serving(tmp_path) as served:
        assert served.http.post("/v1/rank", json=RANK).status_code == 200
        token = create_key(path, "server", "")
        until(lambda: served.http.post("/v1/rank", json=RANK).status_code == 401)
        headers = {"authorization": f"bearer {token}"}
        assert served.http.post("/v1/rank", json=RANK, headers=headers).status_code == 200
        revoke_key(path, token.split("_")[1])
        until(lambda: served.http.post("/v1/rank", json=RANK, headers=headers).status_code == 401)
        assert served.http.post("/v1/rank", json=RANK).status_code == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.com", ""])
def test_a_public_address_needs_a_key(tmp_path: Path, host: str) -> None:
    with pytest.raises(InputError, match="Make one with `easq keys create --scope server`"):
        check_address(host, Keys(tmp_path / "keys.json"))
    create_key(tmp_path / "keys.json", "server", "")
    check_address(host, Keys(tmp_path / "keys.json"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_a_loopback_address_needs_none(tmp_path: Path, host: str) -> None:
    check_address(host, Keys(tmp_path / "keys.json"))
