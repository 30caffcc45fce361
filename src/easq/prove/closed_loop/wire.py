"""A lean HTTP client for many small calls at once: kept-alive connections, MessagePack both ways.

`easq.Client` is for applications. A simulation makes a quarter of a million calls beside the service that
it calls, on the same two cores, and most of what an HTTP library does for a call would be its cost.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec

_PACKED = "application/msgpack"
_Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class CallError(Exception):
    """The service did not do what it was asked; the message has its words."""


class Wire:
    """`connections` connections to the service at `port` of this machine, which calls take in turn."""

    def __init__(self, port: int, connections: int = 32) -> None:
        self._port, self._connections = port, connections
        self._idle: asyncio.Queue[_Pair] = asyncio.Queue()

    async def __aenter__(self) -> "Wire":
        for _ in range(self._connections):
            self._idle.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))
        return self

    async def __aexit__(self, *why: object) -> None:
        while not self._idle.empty():
            writer = self._idle.get_nowait()[1]
            writer.close()
            await writer.wait_closed()

    async def all(self, path: str, bodies: Iterable[Any]) -> list[Any]:
        """Post all bodies, as many at once as there are connections; return the replies in their order.

        Raises CallError for a reply that is not 200.
        """
        return await asyncio.gather(*(self.call("POST", path, body) for body in bodies))

    async def call(self, method: str, path: str, body: Any) -> Any:
        """Make one call and return the decoded reply; raise CallError."""
        data = msgspec.msgpack.encode(body)
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {_PACKED}\r\n"
            f"accept: {_PACKED}\r\ncontent-length: {len(data)}\r\n\r\n"
        )
        reader, writer = await self._idle.get()
        writer.write(head.encode() + data)
        found = await reader.readuntil(b"\r\n\r\n")
        length = int(found.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        reply = await reader.readexactly(length)
        self._idle.put_nowait((reader, writer))
        if found[9:12] != b"200":
            raise CallError(f"{method} {path}: {found[9:12].decode()} {reply[:300]!r}")
        return msgspec.msgpack.decode(reply)
