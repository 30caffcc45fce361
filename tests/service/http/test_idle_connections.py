"""Who gives way when connections are used up: idle ones, and never to the loss of who has just come."""

import json
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from easq.service.http.connection import http_request
from easq.service.http.idle_connections import IdleConnections
from easq.service.http.keys import create_key
from tests.support.http_service import serving

HEALTH = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"
RANK = json.dumps({"user_id": "u", "candidates": ["a", "b"]}).encode()
OFFER = json.dumps({"user_id": "u", "request_id": "r", "item_id": "a", "play_ms": 9, "ratio": 1.0}).encode()


class Link:
    def __init__(self) -> None:
        self.has_given_way = False

    def give_way(self) -> None:
        self.has_given_way = True


def opened(idle: IdleConnections, num: int) -> list[Link]:
    links = [Link() for _ in range(num)]
    for link in links:
        assert idle.open(link)
    return links


def close_given_way(idle: IdleConnections, links: list[Link]) -> list[Link]:
    for link in links:
        if link.has_given_way:
            idle.close(link)
    return [link for link in links if not link.has_given_way]


@pytest.mark.parametrize("is_known", [False, True])
def test_used_idle_connections_do_not_push_out_who_has_just_come(is_known: bool) -> None:
    idle, used, new = IdleConnections(20), list[Link](), list[Link]()
    for _ in range(200):
        used = close_given_way(idle, used)
        new = close_given_way(idle, new)
        used += opened(idle, 20 - len(used))
        for link in used:
            if not link.has_given_way:
                idle.call(link)
                idle.rest(link, is_known)
        new += opened(idle, 1)
        honest = opened(idle, 1)
        new += opened(idle, 8)
        assert not honest[0].has_given_way
        idle.close(honest[0])


def test_known_connections_outlast_others_up_to_half_of_all() -> None:
    idle = IdleConnections(10)
    known = opened(idle, 7)
    for link in known:
        idle.call(link)
        idle.rest(link, is_known=True)
    under_way = opened(idle, 1)
    idle.call(under_way[0])
    others = opened(idle, 2)
    for _ in range(50):
        others += opened(idle, 1)
        known, others = close_given_way(idle, known), close_given_way(idle, others)
    assert (len(known), len(others)) == (5, 4)
    assert not under_way[0].has_given_way


def test_calls_with_a_key_keep_a_connection_and_others_do_not(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    server, viewer = create_key(keys, "server", ""), create_key(keys, "viewer", "")
    few = "service.max_connections=6"
    with serving(tmp_path, few, "service.body_seconds=60") as served, ExitStack() as all_:
        served.http.close()

        def connect(call: bytes = b"") -> socket.socket:
            address = ("127.0.0.1", httpx.URL(served.url).port or 0)
            connection = all_.enter_context(socket.create_connection(address, 30))
            if call:
                assert status(connection, call) in (200, 401)
            return connection

        platform = connect(call_of("/v1/rank", RANK, server))
        page = connect(call_of("/v1/questionnaire/offer", OFFER, viewer))
        refused = connect(call_of("/v1/rank", RANK, "easq_no_such_key"))
        monitors = [connect(HEALTH) for _ in range(8)]
        honest = connect()
        for _ in range(4):
            connect()
        time.sleep(0.2)  # they are accepted
        assert status(honest, HEALTH) == 200
        assert status(platform, call_of("/v1/rank", RANK, server)) == 200
        for gone in (page, refused, *monitors):
            assert status(gone, HEALTH) == 0


def call_of(path: str, body: bytes, key: str) -> bytes:
    headers = {"host": "localhost", "content-type": "application/json", "authorization": f"Bearer {key}"}
    return http_request("POST", path, headers, body)


def status(connection: socket.socket, call: bytes) -> int:
    """Return the status of a call's reply; 0 if the connection has ended."""
    try:
        connection.sendall(call)
        return int(connection.recv(1 << 16)[9:12] or 0)
    except OSError:
        return 0
