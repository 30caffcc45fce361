"""One kept-alive HTTP/1.1 connection, for clients that make many small calls and must cost little."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import httptools

_CHUNK = 1 << 16


class HttpReply(NamedTuple):
    """The status and the body of a reply."""

    status: int
    body: bytes


class _ReplyParser:
    """Gathers the body of one reply as httptools parses it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.is_complete = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        self.is_complete = True

    def reply(self) -> HttpReply:
        return HttpReply(self._parser.get_status_code(), b"".join(self._parts))


class Connection:
    """Makes one call at a time; the first call opens it unless `open` did."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Open the connection if it is not open yet; raise OSError."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)

    async def send(self, request: bytes) -> HttpReply:
        """Send a whole request and return the reply.

        Raises OSError or EOFError when the connection fails, ValueError for a reply that is not HTTP; then
        close the connection.
        """
        await self.open()
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(request)
        parser = _ReplyParser()
        while not parser.is_complete:
            if not (data := await reader.read(_CHUNK)):
                raise EOFError("the connection ended before the reply did")
            try:
                parser.feed(data)
            except httptools.HttpParserError as error:
                raise ValueError(f"the reply is not HTTP: {error}") from None
        return parser.reply()

    async def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._streams is not None:
            (_, writer), self._streams = self._streams, None
            writer.close()
            with suppress(OSError):  # it was broken already
                await writer.wait_closed()


def http_request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return a whole request as bytes, for calls that are sent again and again."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode("latin-1") + body
