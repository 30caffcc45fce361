"""The dashboard's data over HTTP: who may have it, what it is on logs with nothing and with much in them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from easq.service.http.keys import create_key
from tests.support.http_service import Served, a_client, serving, until

RANK = {"user_id": "u1", "candidates": ["a", "b"]}
PARTS = {"learners", "questionnaire", "rankings", "experiment", "shadow", "validity"}
PATHS = ("/v1/dashboard", "/v1/dashboard/board")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("home")) as service:
        yield service


def whole_board(http: httpx.Client, experiment: str = "") -> dict[str, Any]:
    """Return the board after a whole reading."""
    params = {"experiment": experiment} if experiment else {}

    def is_done() -> bool:
        reply = http.get("/v1/dashboard/board", params=params).json()
        return not reply["is_reading"]

    until(is_done)
    board: dict[str, Any] = http.get("/v1/dashboard/board", params=params).json()
    assert board["error"] == ""
    return {**board, "parts": {part["name"]: part for part in board["parts"]}}


def test_the_page_is_anybodys_and_its_data_an_admins(tmp_path: Path) -> None:
    server, admin = (create_key(tmp_path / "keys.json", scope, "") for scope in ("server", "admin"))
    with serving(tmp_path, token=admin) as served, a_client(served.url, server) as other:
        with a_client(served.url) as nobody:
            page = nobody.get("/dashboard")
            assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert [nobody.get(path).status_code for path in PATHS] == [401, 401]
        assert [other.get(path).status_code for path in PATHS] == [403, 403]
        assert [served.http.get(path).status_code for path in PATHS] == [200, 200]


def test_nothing_of_the_page_may_come_from_elsewhere_or_stand_in_it(served: Served) -> None:
    page = served.http.get("/dashboard")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in page.text.replace("https://github.com", "")
    for name in ("dashboard.css", "dashboard.js", "plotly.js"):
        assert f"/dashboard/{name}" in page.text
        assert served.http.get(f"/dashboard/{name}").status_code == 200


def test_plotly_comes_packed_to_clients_that_can_unpack_it(served: Served) -> None:
    plain = served.http.get("/dashboard/plotly.js", headers={"accept-encoding": "identity"})
    packed = served.http.get("/dashboard/plotly.js", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert b"plotly.js v" in plain.content[:200]


def test_current_status_needs_no_reading_of_the_log(served: Served) -> None:
    reply = served.http.get("/v1/dashboard").json()
    assert reply["experiments"] == []
    assert reply["service"]["ready"]
    assert reply["learners"] == {"main": {}}


def test_an_empty_log_is_reported_as_empty(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        parts = whole_board(served.http)["parts"]
    assert set(parts) == PARTS - {"experiment"}
    assert "No view was put to the questionnaire yet" in parts["questionnaire"]["html"]
    assert "no ranking with two candidates" in parts["rankings"]["html"]
    assert all(part["at_ms"] > 0 and part["seconds"] >= 0 for part in parts.values())


def test_the_first_call_starts_a_reading_and_does_not_wait_for_it(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        reply = served.http.get("/v1/dashboard/board").json()
        assert (reply["is_reading"], reply["parts"]) == (True, [])
        until(lambda: len(served.http.get("/v1/dashboard/board").json()["parts"]) == len(PARTS) - 1)


def test_a_failed_reading_is_reported_and_the_service_continues(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        (tmp_path / "settings.toml").write_text("this is no recipe")
        until(lambda: served.http.get("/v1/dashboard/board").json()["error"])
        assert "the reading ended with code 1" in served.http.get("/v1/dashboard/board").json()["error"]
        assert served.http.post("/v1/rank", json=RANK).status_code == 200


def test_an_experiment_that_is_not_there_is_named(served: Served) -> None:
    reply = served.http.get("/v1/dashboard/board", params={"experiment": "none"})
    assert reply.status_code == 404
    assert reply.json()["error"]["message"] == "experiment: got 'none'; allowed: the recipe declares none"


def test_an_experiment_without_a_request_is_reported(tmp_path: Path) -> None:
    with serving(tmp_path, 'experiments=[{name="try", arms=[{name="a"}, {name="b"}]}]') as served:
        parts = whole_board(served.http, "try")["parts"]
        assert set(parts) == PARTS
        assert "the log holds no request" in parts["experiment"]["html"]
        assert served.http.post("/v1/rank", json=RANK).status_code == 200


def test_a_board_that_has_not_changed_is_not_sent_again(served: Served) -> None:
    whole_board(served.http)
    first = served.http.get("/v1/dashboard/board")
    again = served.http.get("/v1/dashboard/board", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert [part["at_ms"] for part in first.json()["parts"]] == [
        part["at_ms"] for part in served.http.get("/v1/dashboard/board").json()["parts"]
    ], "asking again and again must not read the log again"
