"""What comes before a key is known is bounded in bytes, in time and in connections."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from easq.service.http.bounded_protocol import HEAD_LIMIT
from easq.service.http.keys import create_key
from tests.support.http_service import PATIENCE_S, Served, serving

GET = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n"
RANK = {"user_id": "u", "candidates": ["a", "b"]}
QUICK = "service.body_seconds=0.3"


def connected(served: Served) -> socket.socket:
    url = httpx.URL(served.url)
    assert url.port is not None
    return socket.create_connection((url.host, url.port), PATIENCE_S)


def all_of(connection: socket.socket) -> bytes:
    """Return what comes until the connection ends."""
    reply = b""
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            reply += data
    return reply


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (b"GET /" + b"a" * 100_000, 414, b"url_too_long"),
        (GET + b"x: " + b"a" * 100_000, 431, b"headers_too_large"),
        (GET + b"a" * 100_000, 431, b"headers_too_large"),
        (GET + b"a: b\r\n" * 20_000, 431, b"headers_too_large"),
        (
            b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * 8000,
            431,
            b"headers_too_large",
        ),
        (b"\r\n" * 50_000, 431, b"headers_too_large"),
    ],
)
@pytest.mark.parametrize("before", [b"", GET + b"\r\n"], ids=["first", "second"])
def test_a_head_beyond_its_limit_is_refused(
    tmp_path: Path, before: bytes, head: bytes, status: int, code: bytes
) -> None:
    with serving(tmp_path) as served, connected(served) as connection:
        if before:
            connection.sendall(before)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(head)
        reply = all_of(connection)
        assert reply.startswith(f"HTTP/1.1 {status} ".encode()), reply[:100]
        assert b'{"error":{"code":"' + code in reply
        assert served.http.get("/health/live").status_code == 200


@pytest.mark.parametrize("size", [1, 4095, 65536])
def test_a_head_within_its_limit_is_taken_however_it_comes(tmp_path: Path, size: int) -> None:
    head = GET + b"x: " + b"a" * (HEAD_LIMIT - len(GET) - 7) + b"\r\n\r\n"
    assert len(head) == HEAD_LIMIT
    with serving(tmp_path) as served, connected(served) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        small = min(size * 200, len(head)) if size == 1 else len(head)
        for start in range(0, small, size):
            connection.sendall(head[start : min(start + size, small)])
        connection.sendall(head[small:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_trailers_without_end_are_given_up(tmp_path: Path) -> None:
    head = (
        b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    )
    for trailers in (b"a: b\r\n" * 20_000, b"a: " + b"b" * 100_000):
        with serving(tmp_path) as served, connected(served) as connection:
            connection.sendall(head)
            with suppress(OSError):
                connection.sendall(trailers * 20)
            assert not all_of(connection).startswith(b"HTTP/1.1 2")


def test_a_body_in_many_chunks_with_a_large_head_before_it_is_taken(tmp_path: Path) -> None:
    """Nothing of a body counts, and nothing of the request before."""
    with serving(tmp_path) as served:
        for _ in range(3):
            parts = [b'{"events": ['] + [b" " * 3000] * 200 + [b"]}"]
            reply = served.http.post("/v1/events", content=iter(parts), headers={"x": "a" * 60_000})
            assert reply.status_code == 200, reply.text


def test_megabytes_of_a_head_hold_up_nobody_and_are_not_read(tmp_path: Path) -> None:
    stop, sent = Event(), 0

    def flood(served: Served) -> None:
        nonlocal sent
        while not stop.is_set():
            with connected(served) as connection:
                try:
                    connection.sendall(b"GET /")
                    for _ in range(200):
                        connection.sendall(b"a" * 100_000)
                        sent = max(sent, 1) + 100_000
                except OSError:
                    pass
            sent = 0

    with serving(tmp_path) as served:
        threads = [Thread(target=flood, args=(served,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            longest, end = 0.0, time.monotonic() + 2
            while time.monotonic() < end:
                start = time.monotonic()
                assert served.http.post("/v1/rank", json=RANK).status_code == 200
                longest = max(longest, time.monotonic() - start)
                assert sent < 12_000_000, "what a socket's buffers hold, and no more"
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert longest < 1.0


@pytest.mark.parametrize(
    ("head", "status"), [(GET, b"408"), (b"GE", b"408"), (b"", b""), (b"\r\n", b""), (GET + b"x:", b"408")]
)
def test_a_head_that_does_not_come_in_time_is_given_up(tmp_path: Path, head: bytes, status: bytes) -> None:
    with serving(tmp_path, QUICK) as served, connected(served) as connection:
        start = time.monotonic()
        connection.sendall(head)
        reply = all_of(connection)
        assert 0.2 < time.monotonic() - start < 5
        assert reply[9:12] == status
        assert not status or b"the headers did not come within 0.3 s (service.body_seconds)" in reply


def test_bytes_that_trickle_do_not_keep_a_connection(tmp_path: Path) -> None:
    post = b"POST /v1/nothing HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n"
    for head, drop in ((b"", b"\r\n"), (GET + b"\r\n", b"\r\n"), (GET, b"a: b\r\n"), (post, b"x")):
        with serving(tmp_path, QUICK) as served, connected(served) as connection:
            connection.sendall(head)
            start = time.monotonic()
            with pytest.raises(OSError):
                while time.monotonic() < start + 5:
                    connection.sendall(drop)
                    time.sleep(0.03)
            assert time.monotonic() - start < 5


@contextmanager
def idle(served: Served, num: int, head: bytes = b"") -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(served)) for _ in range(num)]
        for connection in connections:
            connection.sendall(head)
        yield connections


@pytest.mark.parametrize("head", [b"", GET, GET + b"\r\n"], ids=["silent", "slow", "kept alive"])
def test_idle_connections_shut_out_nobody(tmp_path: Path, head: bytes) -> None:
    with (
        serving(tmp_path, "service.max_connections=5", "service.body_seconds=60") as served,
        idle(served, 30, head) as connections,
    ):
        for _ in range(3):
            assert httpx.post(f"{served.url}/v1/rank", json=RANK, timeout=5).status_code == 200
        connections[0].settimeout(5)
        assert b"HTTP/1.1 5" not in all_of(connections[0]), "the oldest has given way"


def test_a_call_that_is_under_way_gives_way_to_nobody(tmp_path: Path) -> None:
    head = b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 15\r\n\r\n"
    with serving(tmp_path, "service.max_connections=4", "service.body_seconds=60") as served:
        served.http.close()
        with idle(served, 4, head + b'{"events"') as connections:
            time.sleep(0.3)
            reply = httpx.get(f"{served.url}/health/live", timeout=5)
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
            assert reply.json()["error"] == {
                "code": "too_many_connections",
                "message": "4 connections are in use; allowed: 4 (service.max_connections)",
            }
            for connection in connections:
                connection.sendall(b": [] }")
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert httpx.get(f"{served.url}/health/live", timeout=5).status_code == 200


def test_callers_without_a_key_hold_no_place_of_an_upload(tmp_path: Path) -> None:
    key = create_key(tmp_path / "keys.json", "server", "")
    head = b"POST /v1/questionnaire/offer HTTP/1.1\r\nhost: localhost\r\n"
    head += b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"
    with serving(tmp_path, "service.max_uploads=2", "service.body_seconds=60", token=key) as served:
        large = {"user_id": "u", "candidates": [f"{n:0100}" for n in range(1000)]}
        with idle(served, 20, head):
            time.sleep(0.3)
            assert served.http.post("/v1/rank", json=large).status_code == 200
    with serving(tmp_path) as served, connected(served) as connection:
        connection.sendall(head + b"5000\r\n" + b" " * 0x5000)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413"), "a beacon beyond its limit"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /health/live HTTP/1.1\r\n\r\n", b"400"),
        (GET + b"Host: y\r\n\r\n", b"400"),
        (b"GET /health/live HTTP/1.0\r\n\r\n", b"200"),
        (b"not HTTP\r\n\r\n", b"400"),
    ],
)
def test_a_request_says_once_which_host_it_is_for(tmp_path: Path, head: bytes, status: bytes) -> None:
    with serving(tmp_path) as served, connected(served) as connection:
        connection.sendall(head)
        reply = all_of(connection)
        assert reply[9:12] == status
        assert status == b"200" or b'{"error":{"code":"invalid","message":"' in reply
