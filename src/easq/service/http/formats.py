"""The format of a request's body, and the format in which the sender wants the reply."""

from collections.abc import Iterable
from typing import NamedTuple

from easq.service.http.error_replies import Refusal
from easq.service.http.messages import JSON, MSGPACK, Format

_FORMATS = {
    b"": JSON,
    b"application/json": JSON,
    b"application/msgpack": MSGPACK,
    b"application/x-msgpack": MSGPACK,
    b"application/vnd.msgpack": MSGPACK,
}


class Formats(NamedTuple):
    """The formats of one request's body and of its reply."""

    body: Format
    reply: Format


def negotiate(headers: Iterable[tuple[bytes, bytes]], is_beacon: bool = False) -> Formats:
    """Return the formats of body and reply; the reply is in the body's format unless `accept` names one.

    A browser sends a beacon as text/plain: with `is_beacon` that is JSON. Raises Refusal (415) for any
    other content type.
    """
    content_type = accept = b""
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"accept":
            accept = value
    body_format = _FORMATS.get(_bare(content_type))
    if is_beacon and _bare(content_type) == b"text/plain":
        body_format = JSON
    if body_format is None:
        text = content_type[:60].decode("latin-1")
        message = f"content-type: got {text!r}; allowed: application/json, application/msgpack"
        raise Refusal(415, "unsupported_media_type", message)
    accepted = (_FORMATS.get(_bare(part)) for part in accept.split(b",") if part)
    return Formats(body_format, next((form for form in accepted if form is not None), body_format))


def _bare(media_type: bytes) -> bytes:
    return media_type.partition(b";")[0].strip().lower()
