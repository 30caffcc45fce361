"""Which form a body has, and which form its sender wants to read."""

from collections.abc import Iterable

from easq.service.http.error_replies import Refusal
from easq.service.http.messages import JSON, MSGPACK, Format

_FORMS = {
    b"": JSON,
    b"application/json": JSON,
    b"application/msgpack": MSGPACK,
    b"application/x-msgpack": MSGPACK,
    b"application/vnd.msgpack": MSGPACK,
}


def negotiate(headers: Iterable[tuple[bytes, bytes]], beacon: bool = False) -> tuple[Format, Format]:
    """Return the form of the body and that of the reply, which is in kind unless `accept` names one.

    A browser sends a beacon as text/plain: with `beacon` that is JSON. Raises Refusal (415) for another
    kind of body.
    """
    content_type = accept = b""
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"accept":
            accept = value
    given = _FORMS.get(_bare(content_type))
    if beacon and _bare(content_type) == b"text/plain":
        given = JSON
    if given is None:
        text = content_type[:60].decode("latin-1")
        message = f"content-type: got {text!r}; allowed: application/json, application/msgpack"
        raise Refusal(415, "unsupported_media_type", message)
    wanted = (_FORMS.get(_bare(part)) for part in accept.split(b",") if part)
    return given, next((form for form in wanted if form is not None), given)


def _bare(media_type: bytes) -> bytes:
    return media_type.partition(b";")[0].strip().lower()
