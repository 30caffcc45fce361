"""Replies other than 200: their status, code and message."""

import msgspec
from litestar.types import Send


class Refusal(Exception):  # noqa: N818 - a reply, not a fault
    """A reply other than 200: its status, a code for programs and a message for people."""

    def __init__(self, status: int, code: str, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = {} if retry_after_s is None else {"retry-after": str(retry_after_s)}
        if status == 408:
            self.headers["connection"] = "close"  # or the server would go on waiting for the rest of the body
        if status == 401:
            self.headers["www-authenticate"] = "Bearer"

    def body(self) -> bytes:
        """Return the body of the reply, always JSON."""
        return msgspec.json.encode(ErrorReply(Reason(self.code, self.message)))

    def reply(self) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Return the headers and the body, as they are sent."""
        body = self.body()
        fields = {"content-type": "application/json", "content-length": str(len(body)), **self.headers}
        return [(name.encode(), value.encode()) for name, value in fields.items()], body


class Reason(msgspec.Struct):
    """Why a call was refused."""

    code: str
    message: str


class ErrorReply(msgspec.Struct):
    """The body of every reply that is not a success."""

    error: Reason


def unavailable(code: str, message: str) -> Refusal:
    """Return the refusal (503) of a call that may succeed a moment later."""
    return Refusal(503, code, message, retry_after_s=1)


def too_large(message: str) -> Refusal:
    """Return the refusal (413) of a call that exceeds a limit; the message says which and by how much."""
    return Refusal(413, "too_large", message)


async def send_refusal(refusal: Refusal, send: Send) -> None:
    """Send a refusal from ASGI middleware."""
    headers, body = refusal.reply()
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
