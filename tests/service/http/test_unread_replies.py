"""Who does not take the replies holds a connection for a time, and gives way to whoever comes."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from easq.service.http.connection import http_request
from easq.service.http.error_replies import unavailable
from easq.service.http.idle_connections import IdleConnections
from easq.service.http.turns import Turns
from tests.support.http_service import Served, serving, until

SCHEMA = b"GET /schema HTTP/1.1\r\nhost: localhost\r\n\r\n"
HEALTH = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"
RANK = http_request("POST", "/v1/rank", {"host": "localhost"}, b'{"user_id": "u", "candidates": ["a"]}')


@contextmanager
def deaf(served: Served, *calls: bytes) -> Iterator[socket.socket]:
    """Make calls, as long as they are read, and take nothing of the replies."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", httpx.URL(served.url).port or 0))
        connection.settimeout(0.5)
        with suppress(OSError):
            for some in calls:
                connection.sendall(some)
                time.sleep(0.1)
        yield connection


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Gather the protocols of connections that the service has no more."""
    lost: list[Any] = []
    close = IdleConnections.close

    def close_and_note(idle: IdleConnections, connection: Any) -> None:
        lost.append(connection)
        close(idle, connection)

    monkeypatch.setattr(IdleConnections, "close", close_and_note)
    return lost


def is_held(connection: socket.socket, ended: list[Any]) -> bool:
    return connection.getsockname() not in [protocol.client for protocol in ended]


def test_who_takes_no_replies_gives_way(tmp_path: Path, ended: list[Any]) -> None:
    with serving(tmp_path, "service.max_connections=3", "service.body_seconds=600") as served:
        served.http.close()
        calls = [SCHEMA * 60] * 3
        with deaf(served, *calls) as first, deaf(served, *calls), deaf(served, *calls):
            assert is_held(first, ended)
            for _ in range(3):
                assert httpx.get(f"{served.url}/health/live", timeout=5).status_code == 200
            until(lambda: not is_held(first, ended))


@pytest.mark.parametrize(
    "last", [b"", SCHEMA.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")], ids=["kept", "closing"]
)
def test_who_takes_no_replies_is_cut_off_in_time(tmp_path: Path, last: bytes, ended: list[Any]) -> None:
    calls = [SCHEMA * 60] * 2 + [SCHEMA * 50 + last]
    with serving(tmp_path, "service.body_seconds=2") as served, deaf(served, *calls) as connection:
        assert is_held(connection, ended)
        until(lambda: not is_held(connection, ended))
        assert served.http.get("/health/live").status_code == 200


def test_refusals_that_nobody_takes_are_dropped_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: list[Any]
) -> None:
    with serving(tmp_path, "service.body_seconds=1") as served:
        monkeypatch.setattr(Turns, "refusal", lambda _: unavailable("overloaded", "no room"))
        with deaf(served, *[RANK * 1000] * 40) as connection:
            until(lambda: not is_held(connection, ended))


def test_who_takes_the_replies_slowly_gets_them_all(tmp_path: Path) -> None:
    """For several times as long as one who takes nothing would be kept, and much waits all the time."""
    with serving(tmp_path, "service.body_seconds=1") as served:
        size = len(served.http.get("/schema").content)
        num = 60
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            connection.connect(("127.0.0.1", httpx.URL(served.url).port or 0))
            connection.settimeout(10)
            connection.sendall(SCHEMA * num)
            got, part_s = 0, 4.0 / (size * num / 8192)
            while got < size * num:
                part = connection.recv(8192)
                assert part, (got, size * num)
                got += len(part)
                time.sleep(part_s)
