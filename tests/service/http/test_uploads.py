"""Bodies that do not come: given up in time, and no more of them than memory has room for."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.http_service import PATIENCE_S, Served, serving, until

LARGE = {"events": [], "x": "y" * 100_000}


def stalled(served: Served, size: int) -> socket.socket:
    """Return a connection on which all but the last byte of a body has come."""
    url = httpx.URL(served.url)
    assert url.port is not None
    connection = socket.create_connection((url.host, url.port), PATIENCE_S)
    head = f"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: {size}\r\n\r\n"
    connection.sendall(head.encode() + b" " * (size - 1))
    return connection


@pytest.mark.parametrize("size", [2, 300_000])
def test_a_body_that_stops_short_is_given_up_and_its_connection_closed(tmp_path: Path, size: int) -> None:
    with serving(tmp_path, "service.body_seconds=0.2") as served:
        with stalled(served, size) as connection:
            reply = b""
            while data := connection.recv(65536):
                reply += data
        assert reply.startswith(b"HTTP/1.1 408 ")
        assert b"the body did not come within 0.2 s (service.body_seconds)" in reply
        assert served.http.post("/v1/events", json={"events": []}).status_code == 200


def test_only_so_many_large_bodies_are_awaited(tmp_path: Path) -> None:
    with serving(tmp_path, "service.body_seconds=1000", "service.max_uploads=2") as served:

        def status() -> int:
            return served.http.post("/v1/events", json=LARGE).status_code

        with stalled(served, 300_000), stalled(served, 300_000):
            time.sleep(0.5)  # a call that is on its way when one of these arrives would have its place
            until(lambda: status() == 503)
            reply = served.http.post("/v1/events", json=LARGE)
            assert reply.json()["error"] == {
                "code": "too_many_uploads",
                "message": "2 large bodies are on their way; allowed: 2 (service.max_uploads)",
            }
            assert reply.headers["retry-after"] == "1"
            assert served.http.post("/v1/events", json={"events": []}).status_code == 200
        until(lambda: status() == 400)


def test_the_end_of_the_service_waits_for_no_body(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with serving(tmp_path, "service.body_seconds=1000") as served:
            for _ in range(20):
                stack.enter_context(stalled(served, 300_000))
            assert served.http.post("/v1/events", json={"events": []}).status_code == 200
            start = time.monotonic()
        assert time.monotonic() - start < 5
