"""The server's side of a connection: uvicorn's, with bounds on what comes before a call is understood.

Nobody is known before the head of a request has been read. The parser joins what it is fed to one URL and
to one header, however long: so what it has not understood yet is counted in front of it.
"""

import sys
from asyncio import BaseTransport, TimerHandle, Transport
from collections import deque
from collections.abc import Callable, Sequence
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any, cast

import structlog
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from easq.service.http.arrival import Arrival
from easq.service.http.error_replies import Refusal, unavailable
from easq.service.http.idle_connections import IdleConnections

HEAD_LIMIT = 64 << 10
"""Bytes of a URL with its headers, and of anything else that is not a body."""

_STEP = 4096  # bytes that the parser is fed at once; the limit is exceeded by so many at most
_MOST_BEHIND = 64  # calls that wait for an earlier one on their connection
_LINGER_S, _LINGER_BYTES = 1.0, 1 << 20  # read after a refusal: a reset could overtake the reply

logger = structlog.get_logger("easq.service")


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose heads are bounded in bytes and in time, and which gives way while it is idle.

    `head_s` is how long a head may take to arrive, how long nothing at all may, and how long nothing of the
    replies may be taken. `refuse_early` is told the path of a call and returns its refusal where there is no
    room for it.
    """

    def __init__(
        self,
        idle: IdleConnections,
        head_s: float,
        refuse_early: Callable[[str], Refusal | None],
        **of_uvicorn: Any,
    ) -> None:
        super().__init__(**of_uvicorn)
        self._idle, self._head_s, self._refuse_early = idle, head_s, refuse_early
        self._not_understood = self._num_ignored = 0
        self._in_head = self._is_refused = self._is_shed = self._has_upgrade = False
        self._is_known = False  # a call that needs a key was let in
        self._timer: TimerHandle | None = None
        self._watch: TimerHandle | None = None
        self._untaken: int | None = None  # bytes of replies at the last look
        self._cycles: deque[RequestResponseCycle] = deque()  # calls under way, the oldest first
        self._arrival: Arrival

    def connection_made(self, transport: BaseTransport) -> None:
        """Take in the connection, or refuse it."""
        super().connection_made(cast(Transport, transport))
        if not self._idle.open(self):
            message = f"{self._idle.most} connections are in use; allowed: {self._idle.most}"
            self._refuse(unavailable("too_many_connections", f"{message} (service.max_connections)"))
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._idle.close(self)
        self._stop_waiting()
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)
        for cycle in self._cycles:  # uvicorn tells the newest alone, of several that came at once
            cycle.disconnected = True
            cycle.message_event.set()

    def give_way(self) -> None:
        """Close the connection, on which no call is under way, or whose caller does not take the replies."""
        self.transport.close()
        self.loop.call_soon(self.transport.abort)  # after the reply of just now; what is not taken is dropped

    def pause_writing(self) -> None:
        """Let the connection give way until its caller takes more of the replies."""
        super().pause_writing()
        self._idle.rest(self, self._is_known)
        self._watch_replies()

    def resume_writing(self) -> None:
        """Go on with the call that waited for the caller."""
        super().resume_writing()
        if self._is_under_way():
            self._idle.call(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser step by step, for as long as it understands."""
        if len(data) <= _STEP:
            self._feed(data)
            return
        view = memoryview(data)
        for start in range(0, len(data), _STEP):
            self._feed(view[start : start + _STEP])

    def on_message_begin(self) -> None:
        """Begin the head of a request."""
        self._stop_waiting()  # for the next call; its head has the whole time
        self._in_head, self._not_understood, self._has_upgrade = True, 0, False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin the call, if it says once which host it is for."""
        self._in_head, self._not_understood = False, 0
        self._stop_waiting()
        if self._is_refused:
            return
        if self.parser.get_method() == b"CONNECT":
            self._refuse(Refusal(405, "method_not_allowed", "CONNECT: this is not a proxy"))
        elif self.parser.should_upgrade():
            self._has_upgrade = True
            return
        num_hosts = sum(name == b"host" for name, _ in self.headers)
        if num_hosts != 1 and (num_hosts or self.parser.get_http_version() == "1.1"):
            self._refuse(Refusal(400, "invalid", f"host: got {num_hosts} such headers; allowed: one"))
        if self._is_refused or self._shed():
            return
        if len(self.pipeline) >= _MOST_BEHIND:  # uvicorn would read on after each reply, and queue them all
            self._refuse(unavailable("too_many_calls", f"{_MOST_BEHIND} calls wait on this connection"))
            return
        if not self.flow.write_paused:
            self._idle.call(self)
        self._arrival = self.scope["state"]["arrival"] = Arrival(self.transport)
        super().on_headers_complete()
        assert self.cycle is not None
        self._cycles.append(self.cycle)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._not_understood = 0
        if not (self._is_refused or self._is_shed):
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if self._has_upgrade:  # for the parser, to which the body is none of HTTP
            return
        if self._is_shed:
            self._is_shed = False
        elif not self._is_refused:
            self._arrival.complete()
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """End a call, or go on to the next that came with it."""
        has_next = bool(self.pipeline)
        cycle = self._cycles.popleft()
        self._is_known = self._is_known or "is_known" in cycle.scope["state"]
        super().on_response_complete()
        if not has_next or self.transport.is_closing():
            self._idle.rest(self, self._is_known)
        self._watch_replies()

    def shutdown(self) -> None:
        """End with the service: after the reply, but nobody is waited for who has not sent a whole call."""
        if self._is_under_way() and self.cycle.more_body:
            self.transport.close()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, as everything is refused."""
        self._refuse(Refusal(400, "invalid", msg))

    def _feed(self, data: bytes | memoryview) -> None:
        if self._is_refused or self.transport.is_closing():
            self._num_ignored += len(data)
            if self._num_ignored > _LINGER_BYTES:
                self.transport.abort()
            return
        self._not_understood += len(data)
        self._parse(data)
        if self._not_understood > HEAD_LIMIT:
            self._refuse_head()
        elif self._in_head or not self._is_under_way():
            self._await_head()

    def _parse(self, data: bytes | memoryview) -> None:
        self._unset_keepalive_if_required()
        try:
            while data and not self._is_refused:
                try:
                    self.parser.feed_data(data)
                except HttpParserUpgrade as upgrade:
                    data = data[upgrade.args[0] :]
                    if not self._is_refused:
                        self._ignore_upgrade()
                else:
                    return
        except HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _ignore_upgrade(self) -> None:
        """Read a head again without its `upgrade`; some clients offer one with every first call.

        The parser ends the request there: it would take the body for the next one.
        """
        headers = [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        version = self.parser.get_http_version().encode()
        start = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, version)
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self.parser.feed_data(b"".join([start, *headers, b"\r\n"]))

    def _is_under_way(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _shed(self) -> bool:
        """Reply to a call for which there is no room, and keep the connection; return whether it was done.

        To begin such a call and refuse it later costs several times as much, and those that are served would
        pay. A call that takes more than one reply of plain bytes goes the whole way: a page's (`RoomGuard`),
        one behind another on its connection, one that ends it or waits to be told to go on, and one whose
        caller does not read the replies: there the app waits, so that they do not pile up.
        """
        if (
            self.parser.get_method() != b"POST"
            or self.parser.get_http_version() != "1.1"
            or not self.parser.should_keep_alive()
            or self.expect_100_continue
            or self._is_under_way()
            or self.flow.write_paused
            or any(name == b"origin" for name, _ in self.headers)
        ):
            return False
        refusal = self._refuse_early(self.url.partition(b"?")[0].decode("latin-1"))
        if refusal is None:
            return False
        self._is_shed = True
        self._idle.rest(self, self._is_known)
        self.transport.write(_reply(refusal, self.server_state.default_headers))
        self._watch_replies()
        return True

    def _refuse_head(self) -> None:
        if self._in_head and not self.headers:
            status, code, what = 414, "url_too_long", "the URL"
        else:
            status, code, what = 431, "headers_too_large", "the URL with the headers"
        self._refuse(Refusal(status, code, f"{what} is longer than allowed: {HEAD_LIMIT} bytes"))

    def _await_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self._head_s, self._head_is_late)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        self._timer = None
        if self._is_under_way():  # its reply comes first
            self._await_head()
        elif self._in_head:
            message = f"the headers did not come within {self._head_s:g} s (service.body_seconds)"
            self._refuse(Refusal(408, "head_timeout", message))
        else:
            self.transport.close()

    def _watch_replies(self) -> None:
        """See to it that what has been written is taken; else it would hold the connection for good.

        Also when it is to be closed: that waits until all has been taken.
        """
        self._untaken = None
        if self._watch is None:
            self._watch = self.loop.call_later(self._head_s / 2, self._look)

    def _look(self) -> None:
        self._watch = None
        before, self._untaken = self._untaken, _num_untaken(self.transport)
        if before is not None and self._untaken >= before:
            self.transport.abort()
        elif self._untaken:
            self._watch = self.loop.call_later(self._head_s / 2, self._look)

    def _refuse(self, refusal: Refusal) -> None:
        """Reply and close. Where a call has or awaits its reply only close: the replies would be mixed up."""
        logger.info("refused", status=refusal.status, code=refusal.code)
        self._is_refused = True
        self._stop_waiting()
        self._unset_keepalive_if_required()
        if self._is_under_way() or self._is_shed:
            self.transport.close()
            return
        self.transport.write(_reply(refusal, [(b"connection", b"close")]))
        self._watch_replies()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)


def _num_untaken(transport: Transport) -> int:
    """Return how many bytes the caller has yet to take; 0 where the kernel holds them all.

    It is those in the kernel that get fewer with every byte that is taken: it asks for more in large lumps.
    """
    num = transport.get_write_buffer_size()
    if not num:
        return 0
    queued = ioctl(transport.get_extra_info("socket").fileno(), TIOCOUTQ, bytes(4))
    return num + int.from_bytes(queued, sys.byteorder)


def _reply(refusal: Refusal, beside: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a refusal with its headers, and those `beside` them, as it is sent."""
    own, body = refusal.reply()
    lines = [b"%s: %s\r\n" % header for header in dict([*own, *beside]).items()]
    return b"".join([STATUS_LINE[refusal.status], *lines, b"\r\n", body])
