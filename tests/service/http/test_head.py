"""HEAD answers what GET does, without the body."""

from pathlib import Path

from easq.service.http.keys import create_key
from easq.service.routes import ROUTES
from tests.support.http_service import serving


def test_head_is_get_without_a_body_on_every_route(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        paths = [route.path for route in ROUTES if route.method == "GET"]
        assert {"/health/live", "/health/ready", "/widget/easq.js", "/demo", "/metrics"} <= set(paths)
        for path in paths:
            got, head = served.http.get(path), served.http.head(path)
            assert (head.status_code, head.content) == (got.status_code, b""), path
            assert head.headers["content-type"] == got.headers["content-type"]
            assert "content-length" in head.headers
            assert got.headers["content-type"].count("charset") <= 1, path
        assert served.http.head("/nothing").status_code == 404
        assert served.http.head("/v1/rank").status_code == 405
        key = create_key(tmp_path / "keys.json", "admin", "")
        served.http.headers["authorization"] = f"Bearer {key}"
        assert served.http.head("/v1/status").status_code == 200
        # The connection is kept in step: the next reply is a reply of its own.
        assert served.http.get("/health/live").json() == {"status": "live"}


def test_head_without_a_key_is_refused_as_get_is(tmp_path: Path) -> None:
    create_key(tmp_path / "keys.json", "server", "")
    with serving(tmp_path) as served:
        assert served.http.head("/v1/status").status_code == 401
        assert served.http.head("/demo").status_code == 404
        assert served.http.head("/health/ready").status_code == 200
