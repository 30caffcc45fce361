"""Tokens, each of which allows one answer to one ask until it expires, and the secret that signs them.

A token names the ask and all that it is bound to. It is signed but not encrypted: it holds nothing that its
viewer does not know.
"""

import hashlib
import hmac
import os
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import msgspec
from itsdangerous import Signer

from easq.errors import InputError

_SECRET_BYTES = 32
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """What a token is bound to. It expires at `until`, in milliseconds UTC."""

    ask_id: str
    user_id: str
    request_id: str
    item_id: str
    question: str
    version: str
    until: int


class TokenError(InputError):
    """A token is refused. `code` is the reason for programs: forged or expired."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Tokens:
    """Makes and reads tokens with one secret."""

    def __init__(self, secret: bytes) -> None:
        # SHA-384, because its 48 bytes fill their base64 text: no bit can change unnoticed.
        self._signer = Signer(secret, salt=b"easq.ask", key_derivation="hmac", digest_method=hashlib.sha384)

    def make(self, ticket: Ticket) -> str:
        """Return the token of a ticket. Equal tickets have equal tokens."""
        return self._signer.sign(urlsafe_b64encode(msgspec.json.encode(ticket)).rstrip(b"=")).decode()

    def read(self, token: str, now_ms: int) -> Ticket:
        """Return the ticket of a token. Raises TokenError if the token is not ours or has expired."""
        # Compare the whole text: another text that only decodes to the same bytes is refused.
        body = token.partition(".")[0].encode() if _SHAPE.fullmatch(token) else b""
        if not hmac.compare_digest(self._signer.sign(body), token.encode("utf-8", "replace")):
            raise TokenError("forged", "token: it is not one of this service; send it as the offer gave it")
        ticket = msgspec.json.decode(urlsafe_b64decode(body + b"=" * (-len(body) % 4)), type=Ticket)
        if now_ms >= ticket.until:
            late_s = (now_ms - ticket.until) / 1000
            raise TokenError("expired", f"token: it expired {late_s:.0f} s ago (ask.token_minutes)")
        return ticket


def read_secret(path: Path) -> bytes:
    """Return the secret in the file at `path`, which is made if it does not exist, readable by its owner.

    Raises InputError if the file holds no secret.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    if not path.exists():
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secrets.token_hex(_SECRET_BYTES).encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)  # fails if another process was first: then its secret counts
        except FileExistsError:
            pass
        finally:
            part.unlink()
    try:
        secret = bytes.fromhex(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a secret: {error}") from None
    if len(secret) != _SECRET_BYTES:
        raise InputError(f"{path} is not a secret: it holds {len(secret)} bytes, not {_SECRET_BYTES}")
    return secret
