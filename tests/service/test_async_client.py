"""The client for many small calls at once, against a real service and against servers that are none."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easq.service.async_client import AsyncClient
from easq.service.client import Client
from easq.service.client_replies import ClientError
from easq.service.http.keys import create_key
from tests.support.http_service import serving

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: "

Use = Callable[[AsyncClient], Awaitable[Any]]


def with_client(url: str, use: Use, key: str = "", **settings: Any) -> Any:
    async def run() -> Any:
        async with AsyncClient(url, key, **settings) as client:
            return await use(client)

    return asyncio.run(run())


def answering(*parts: bytes, ends: bool) -> Any:
    """Return what calls a server that sends some bytes, and then ends or does nothing more."""
    is_done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.02)
        if not ends:
            await reader.read(1 << 16)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        is_done.set()

    async def run() -> Any:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            try:
                async with AsyncClient(url, connections=1, timeout_s=0.5) as client:
                    return await client.call("POST", "/v1/rank", {})
            finally:
                await is_done.wait()

    return asyncio.run(run())


def test_calls_at_once_are_answered_in_their_order(tmp_path: Path) -> None:
    calls = [{"user_id": f"u{n}", "candidates": [f"a{n}", f"b{n}"]} for n in range(50)]
    key = create_key(tmp_path / "keys.json", "server", "")
    with serving(tmp_path, token=key) as served:
        replies = with_client(
            served.url, lambda client: client.post_all("/v1/rank", calls), key, connections=4
        )
        with Client(served.url, key) as client:
            expected = client.rank("u7", ["a7", "b7"])
    assert [sorted(reply["items"]) for reply in replies] == [call["candidates"] for call in calls]
    assert np.frombuffer(replies[7]["scores"], "<f4").tolist() == expected.scores


def test_a_refusal_raises_the_services_message_and_keeps_the_connection(tmp_path: Path) -> None:
    async def use(client: AsyncClient) -> Any:
        for _ in range(3):
            with pytest.raises(ClientError, match="400 invalid: candidates: expected `array` of length >= 1"):
                await client.call("POST", "/v1/rank", {"user_id": "u", "candidates": []})
        return await client.call("POST", "/v1/rank", {"user_id": "u", "candidates": ["a"]})

    with serving(tmp_path) as served:
        assert with_client(served.url, use, connections=1)["items"] == ["a"]


def test_a_reply_may_come_in_pieces_and_in_chunks() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chu"
    assert answering(head, b"nked\r\n\r\n1\r\n\x92\r\n", b"2\r\n\x01\x02\r\n0\r\n\r\n", ends=False) == [1, 2]


@pytest.mark.parametrize(
    ("parts", "ends", "message"),
    [
        (
            (HEAD + b"9\r\n\r\nabc",),
            True,
            "unreachable: .*ended before the reply",
        ),
        ((HEAD + b"9\r\n\r\nabc",), False, "unreachable: .*TimeoutError"),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), False, "unreachable: .*the reply is not HTTP"),
        ((HEAD + b"1\r\n\r\n\xc1",), False, "200 unreadable"),
    ],
)
def test_an_unreadable_reply_is_an_error(parts: tuple[bytes, ...], ends: bool, message: str) -> None:
    with pytest.raises(ClientError, match=message):
        answering(*parts, ends=ends)


def test_a_broken_connection_is_opened_again(tmp_path: Path) -> None:
    async def use(client: AsyncClient) -> Any:
        (connection,) = client._connections
        assert connection._streams is not None
        connection._streams[1].close()
        with pytest.raises(ClientError, match="unreachable"):
            await client.call("POST", "/v1/rank", {"user_id": "u", "candidates": ["a"]})
        return await client.call("POST", "/v1/rank", {"user_id": "u", "candidates": ["a"]})

    with serving(tmp_path) as served:
        assert with_client(served.url, use, connections=1)["items"] == ["a"]


def test_an_address_is_plain_http_and_somebody_listens() -> None:
    with pytest.raises(ValueError, match=r"url: got 'https://a\.example'; allowed: an address"):
        AsyncClient("https://a.example")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(OSError):
        with_client(url, lambda client: client.call("POST", "/v1/rank", {}))
