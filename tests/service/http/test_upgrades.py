"""A call that offers another protocol is answered as one that does not, and its body is read as a body."""

import socket
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.support.http_service import Served, serving

RANK = b'{"user_id": "u", "candidates": ["a", "b"]}'
H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
WEBSOCKET = b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
HEALTH = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n"


def rank(more: bytes, body: bytes = RANK, version: bytes = b"1.1") -> bytes:
    head = b"POST /v1/rank HTTP/%s\r\nhost: localhost\r\n" % version
    head += b"content-type: application/json\r\n" + more
    if b"chunked" in more:
        return head + b"\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    return head + b"content-length: %d\r\n\r\n%s" % (len(body), body)


def told(served: Served, *parts: bytes) -> bytes:
    """Send parts one after another, and return all that comes back until nothing does for a while."""
    with socket.create_connection(("127.0.0.1", httpx.URL(served.url).port or 0), timeout=1) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got = b""
        with suppress(OSError):
            for part in parts:
                connection.sendall(part)
                time.sleep(0.05)
            while data := connection.recv(1 << 16):
                got += data
        return got


@pytest.mark.parametrize(
    "offer",
    [H2C, WEBSOCKET, H2C + b"transfer-encoding: chunked\r\n"],
    ids=["h2c", "websocket", "h2c, in chunks"],
)
def test_an_offered_upgrade_is_ignored(tmp_path: Path, offer: bytes) -> None:
    large = b'{"user_id": "u", "candidates": [%s]}' % b",".join(b'"item%06d"' % n for n in range(900))
    with serving(tmp_path) as served:
        for body in (RANK, large):
            whole = rank(offer, body)
            head = whole.index(b"\r\n\r\n") + 4
            for parts in ((whole,), (whole[:head], whole[head:]), (whole[:60], whole[60:]), (whole * 3,)):
                got = told(served, *parts, HEALTH + b"\r\n")
                calls = b"".join(parts).count(b"POST")
                assert got.count(b"HTTP/1.1 200 OK") == got.count(b"HTTP/1.1 ") == calls + 1, got[:300]
        for closing in (rank(offer + b"connection: close\r\n"), rank(offer, version=b"1.0")):
            if b"chunked" not in offer or b"HTTP/1.1" in closing:
                assert told(served, closing).count(b"HTTP/1.1 200 OK") == 1
        got = told(served, (HEALTH + offer.partition(b"transfer")[0] + b"\r\n") * 20)
        assert got.count(b"HTTP/1.1 200 OK") == 20


def test_a_body_behind_an_offered_upgrade_is_no_request(tmp_path: Path) -> None:
    """Wherever the pieces end that the parser is fed."""
    inner = HEALTH + b"\r\n"
    with serving(tmp_path) as served:
        for at in (4096, 8192):
            size = at - len(rank(H2C, b"")) - 3  # the digits of the length
            whole = rank(H2C, b"x" * size + inner)
            assert whole.index(inner) == at
            got = told(served, whole)
            assert got.count(b"HTTP/1.1 ") == got.count(b"HTTP/1.1 400 ") == 1, got
            got = told(served, whole[:at], whole[at:])
            assert got.count(b"HTTP/1.1 ") == got.count(b"HTTP/1.1 400 ") == 1, got


def test_the_service_is_no_proxy(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        connect = b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n"
        got = told(served, connect + HEALTH + b"\r\n", HEALTH + b"\r\n")
        assert got.count(b"HTTP/1.1 ") == 1
        assert got.startswith(b"HTTP/1.1 405 ")
        assert b'"code":"method_not_allowed"' in got
