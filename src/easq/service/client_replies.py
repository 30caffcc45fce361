"""What clients send with every call, what they make of a reply, and what no message of theirs may hold."""

import re
from typing import Any

import httpx
import msgspec

UNREADABLE = "unreadable"
"""The code of a reply that no easq service wrote."""

_FORMATS = {"content-type": "application/msgpack", "accept": "application/msgpack"}
_KEY = re.compile(r"[!-~]*", re.ASCII)


class ClientError(Exception):
    """A call failed. `status` is the reply's, or 0 if there was no reply or no call."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}" if status else f"{code}: {message}")
        self.status, self.code, self.message = status, code, message


def headers_of(key: str) -> dict[str, str]:
    """Return the headers of every call; raise ValueError, without the key in it, for what cannot be one.

    Space around the key, as files have it, does not count.
    """
    key = key.strip()
    if not _KEY.fullmatch(key):
        raise ValueError(
            f"key: got {len(key)} characters with a space, a line break or one outside of ASCII among them; "
            "allowed: easq_, 12 digits, _ and 43 characters"
        )
    return _FORMATS | ({"authorization": f"Bearer {key}"} if key else {})


def without_key(text: str, key: str) -> str:
    """Return a text for a message, with the key in it left out."""
    return text.replace(key, "easq_...") if key else text


def without_password(url: str) -> str:
    """Return an address for messages, without a name and password in it."""
    return str(httpx.URL(url).copy_with(userinfo=b""))


def decoded(body: bytes, kind: Any = Any) -> Any:
    """Return a decoded reply of a kind; raise ClientError, also for a reply of another form."""
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.ValidationError as error:
        message = f"the reply is no {kind.__name__} ({error}); is this the address of an easq service?"
        raise ClientError(200, UNREADABLE, message) from None
    except msgspec.DecodeError:
        message = "the reply is not MessagePack; is this the address of an easq service?"
        raise ClientError(200, UNREADABLE, message) from None


def explained(status: int, body: bytes, key: str = "") -> ClientError:
    """Return the error of a reply that is not 200. A gateway may quote the call, so the key is left out."""
    try:
        error = msgspec.json.decode(body, type=dict[str, dict[str, str]])["error"]
        return ClientError(status, without_key(error["code"], key), without_key(error["message"], key))
    except (ValueError, KeyError):
        return ClientError(status, UNREADABLE, without_key(body.decode(errors="replace"), key)[:200])
