"""What a client does when a gateway, a limit or its own key stands in the way."""

import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from easq.log.events import PROFILES
from easq.service.async_client import AsyncClient
from easq.service.client import Client
from easq.service.client_replies import ClientError
from easq.service.http.keys import create_key
from tests.support.http_service import serving

KEY = "easq_0123456789ab_SECRETSECRETSECRETSECRETSECRETSECRETSECRETSEC"
RANKED = {"request_id": "r", "items": ["a"], "version": "v", "arm": ""}
OWN_500 = b'{"error":{"code":"internal","message":"this is a fault of the service"}}'


@contextmanager
def a_gateway(*replies: tuple[int, bytes], encoding: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Answer with these replies, the last of them again and again; yield the address and the calls."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(msgspec.msgpack.decode(self.rfile.read(int(self.headers["content-length"]))))
            status, body = replies[min(len(got), len(replies)) - 1]
            body = body.replace(b"AUTHORIZATION", self.headers.get("authorization", "").encode())
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            if encoding:
                self.send_header("content-encoding", encoding)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def accepted(num: int = 1) -> tuple[int, bytes]:
    return 200, msgspec.msgpack.encode({"results": [{"status": "accepted"}] * num})


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 522, 524])
def test_a_gateways_error_is_repeated_with_the_same_ids(status: int) -> None:
    page = b"<html>bad gateway</html>"
    with a_gateway((status, page), (status, b""), accepted()) as (url, got), Client(url) as client:
        event_id = client.behavior("u", "r", ["a"])
    assert len(got) == 3
    assert got[0] == got[1] == got[2]
    assert got[0]["events"][0]["event_id"] == event_id


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 415, 431, 501])
def test_a_refusal_is_not_repeated(status: int) -> None:
    with (
        a_gateway((status, b"no")) as (url, got),
        Client(url) as client,
        pytest.raises(ClientError, match=str(status)),
    ):
        client.rank("u", ["a"])
    assert len(got) == 1


def test_the_services_own_fault_is_not_repeated() -> None:
    with (
        a_gateway((500, OWN_500)) as (url, got),
        Client(url) as client,
        pytest.raises(ClientError, match="500 internal: this is a fault of the service"),
    ):
        client.rank("u", ["a"])
    assert len(got) == 1


@pytest.mark.parametrize("around", ["{}\n", " {}\r\n", "\t{} "])
def test_space_around_a_key_does_not_count(tmp_path: Path, around: str) -> None:
    key = create_key(tmp_path / "keys.json", "server", "")
    with serving(tmp_path) as served, Client(served.url, around.format(key)) as client:
        assert client.rank("u", ["a"]).items == ["a"]


@pytest.mark.parametrize("key", [f"{KEY}\nx: y", f"{KEY} x", f"{KEY}\0", f"{KEY}é", f"{KEY}\u2028x"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_cannot_be_a_key_is_refused_at_once_and_not_printed(kind: Any, key: str) -> None:
    with pytest.raises(ValueError, match=r"^key: got \d+ characters with a space, a line break") as caught:
        kind("http://127.0.0.1:1", key)
    text = "".join(traceback.format_exception(caught.value))
    assert "SECRET" not in text


def test_no_failure_holds_the_key_or_a_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"http://me:PASSWORD@127.0.0.1:{port}"
        client = Client(url, KEY, retries=0, timeout_s=0.1)
        with client, pytest.raises(ClientError, match=rf"unreachable: http://127.0.0.1:{port}: ") as caught:
            client.rank("u", ["a"])
    assert "PASSWORD" not in "".join(traceback.format_exception(caught.value))
    own = b'{"error":{"code":"forbidden","message":"AUTHORIZATION"}}'
    for body in (b"you sent AUTHORIZATION", own, b"x" * 150 + b"AUTHORIZATION"):
        with (
            a_gateway((403, body)) as (url, _),
            Client(url, KEY) as client,
            pytest.raises(ClientError) as caught,
        ):
            client.rank("u", ["a"])
        assert "SECRET" not in "".join(traceback.format_exception(caught.value)), body
        assert KEY not in repr(client) + repr(caught.value.__dict__)


def test_a_batch_larger_than_a_call_may_be_is_cut_into_several(tmp_path: Path) -> None:
    with serving(tmp_path, "service.max_events=30", "service.max_puts=70") as served:
        with Client(served.url) as client:
            events = (
                {"type": "behavior", "user_id": "u", "request_id": "r", "items": [n]} for n in range(200)
            )
            outcomes = client.send(events)
            assert [outcome.is_accepted for outcome in outcomes] == [True] * 200
            logged = [event for event in served.logged() if event.user_id == "u"]
            assert [event.items for event in logged] == [[str(n)] for n in range(200)]  # type: ignore[union-attr]
            assert [outcome.id for outcome in outcomes] == [event.event_id for event in logged]
            client.put_items({n: {"duration_s": n} for n in range(1500)})
        assert len(served.logged(PROFILES)) == 1500


def test_a_batch_is_cut_by_its_bytes_and_an_entry_too_large_for_any_call_is_refused_alone(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, "service.max_body_bytes=65536") as served, Client(served.url) as client:
        tags = {f"i{n}": {"tags": [f"{n}" * 500]} for n in range(300)}
        client.put_items(tags)
        with pytest.raises(ClientError, match=r"1 of 3 refused: b: too_large: the body is too large"):
            client.put_items({"a": {}, "b": {"tags": ["x" * 70_000]}, "c": {}})
        stored = {event.item_id for event in served.logged(PROFILES)}  # type: ignore[union-attr]
        assert set(tags) <= stored


def test_a_call_of_its_own_kind_is_not_cut(tmp_path: Path) -> None:
    with (
        serving(tmp_path, "service.max_candidates=3") as served,
        Client(served.url) as client,
        pytest.raises(ClientError, match="413 too_large: candidates: got 4; allowed: 3"),
    ):
        client.rank("u", range(4))


@pytest.mark.parametrize(
    "body",
    [
        b"\x80",  # an empty object
        b"\x90",
        b"\x01",
        msgspec.msgpack.encode({"results": [{}, {}]}),
        msgspec.msgpack.encode({"results": 3}),
        msgspec.msgpack.encode(
            {"request_id": "r", "items": ["a"], "scores": b"123", "version": "v", "arm": ""}
        ),
    ],
)
def test_a_reply_of_another_form_is_a_client_error(body: bytes) -> None:
    with a_gateway((200, body)) as (url, _), Client(url, retries=0) as client:
        view = ("u", "r", "i")
        for call in (
            lambda: client.rank("u", ["a"]),
            lambda: client.behavior("u", "r", ["a"]),
            lambda: client.offer(*view, play_ms=1),
            lambda: client.answer("token", "satisfied"),
        ):
            with pytest.raises(ClientError) as caught:
                call()
            assert (caught.value.status, caught.value.code) == (200, "unreadable")


def test_a_reply_that_cannot_be_unpacked_is_repeated() -> None:
    with a_gateway((200, b"no gzip"), encoding="gzip") as (url, got), Client(url, retries=1) as client:
        with pytest.raises(ClientError) as caught:
            client.rank("u", ["a"])
        assert (caught.value.status, len(got)) == (0, 2)


def test_a_code_does_not_hold_the_key_either() -> None:
    quoted = b'{"error": {"code": "no AUTHORIZATION", "message": "AUTHORIZATION"}}'
    with a_gateway((400, quoted)) as (url, _), Client(url, KEY, retries=0) as client:
        with pytest.raises(ClientError) as caught:
            client.rank("u", ["a"])
        assert KEY not in str(caught.value)
