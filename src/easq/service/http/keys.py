"""API keys and the scopes of calls that they allow.

A key is `easq_<id>_<secret>`. The file holds the SHA-256 of the secret and not the secret. A secret has
256 random bits and cannot be guessed, so a slow hash would only slow down every request.
"""

import base64
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import msgspec

from easq.errors import InputError
from easq.home.files import force_to_disk

Scope = Literal["server", "viewer", "admin"]
"""server: rank, events, items and users; viewer: the questionnaire; admin: everything."""

_SHAPE = re.compile(r"easq_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_NOBODY = bytes(32)


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key as it is stored: `sha256` is of its secret, `created` is in seconds UTC."""

    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{12}$")]
    scope: Scope
    label: str
    created: int
    sha256: str


class _File(msgspec.Struct):
    keys: list[Key]


class Keys:
    """The keys of a file, read again by `refresh` when the file has changed.

    The service is open as long as there has never been a file of keys. From the first one on it stays closed,
    also after a restart, and also if the last key is revoked or the file is lost; `open_again` ends that.
    Raises InputError when the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._keys = {key.id: (key, bytes.fromhex(key.sha256)) for key in read_keys(path)}
        self.is_open = not self._is_closed()

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, token: str) -> Key | None:
        """Return the key of a valid token, or None."""
        shape = _SHAPE.fullmatch(token)
        if shape is None:
            return None
        digest = hashlib.sha256(shape[2].encode()).digest()
        key, expected = self._keys.get(shape[1], (None, _NOBODY))
        # Compared for an unknown id too, so that the time reveals nothing about either half.
        return key if hmac.compare_digest(digest, expected) else None

    def refresh(self) -> bool:
        """Read the file again if it has changed; return whether it had.

        Raises InputError when it cannot be read; the keys known so far stay.
        """
        stamp = _stamp(self._path)
        # Looked at even if there is no file: one may have come and gone between two looks.
        self.is_open = self.is_open and not self._is_closed()
        if stamp == self._stamp:
            return False
        if stamp is None:
            raise InputError(f"the file of keys {self._path} is gone; the keys known so far stay valid")
        keys = read_keys(self._path)
        self._stamp = stamp
        self._keys = {key.id: (key, bytes.fromhex(key.sha256)) for key in keys}
        return True

    def _is_closed(self) -> bool:
        """Return whether there are or were keys, and leave a mark that outlives their file."""
        mark = _mark(self._path)
        if mark.exists():
            return True
        if not self._path.exists():
            return False
        _leave(mark)
        return True


def open_again(path: Path) -> None:
    """Forget that there have been keys; raise InputError while the file holds one."""
    with _locked(path):
        if keys := read_keys(path):
            ids = ", ".join(key.id for key in keys)
            raise InputError(f"--open: there are keys ({ids}); revoke them first, or start without --open")
        path.unlink(missing_ok=True)
        _mark(path).unlink(missing_ok=True)


def create_key(path: Path, scope: str, label: str) -> str:
    """Add a key to the file and return it; it cannot be read again later."""
    if scope not in get_args(Scope):
        raise InputError(f"scope: got {scope!r}; allowed: {', '.join(get_args(Scope))}")
    if not label.isprintable() or len(label) > 100:
        raise InputError(f"label: got {label!r}; allowed: at most 100 printable characters")
    key_id, secret = secrets.token_hex(6), _text(secrets.token_bytes(32))
    digest = hashlib.sha256(secret.encode()).hexdigest()
    key = Key(id=key_id, scope=cast(Scope, scope), label=label, created=int(time.time()), sha256=digest)
    with _locked(path):
        _leave(_mark(path))  # first: a key that exists was never without its mark
        _write(path, [*read_keys(path), key])
    return f"easq_{key_id}_{secret}"


def revoke_key(path: Path, key_id: str) -> Key:
    """Remove a key from the file and return it; raise InputError if it is not there.

    `key_id` may be the whole key too. The message never holds more of it than its id.
    """
    key_id = key_id.strip().removeprefix("easq_").partition("_")[0][:12]
    with _locked(path):
        keys = read_keys(path)
        revoked = next((key for key in keys if key.id == key_id), None)
        if revoked is None:
            ids = ", ".join(key.id for key in keys) or "none, the file holds no key"
            raise InputError(f"there is no key with the id {key_id!r}; allowed: {ids}")
        _write(path, [key for key in keys if key.id != key_id])
    return revoked


def read_keys(path: Path) -> list[Key]:
    """Return the keys of the file, none if there is no file; raise InputError if it is not a file of keys."""
    try:
        keys = msgspec.json.decode(path.read_bytes(), type=_File).keys
        if any(len(bytes.fromhex(key.sha256)) != 32 for key in keys):
            raise InputError(f"{path}: every sha256 must be 64 hexadecimal digits")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a file of keys: {error}") from None
    return keys


def _text(secret: bytes) -> str:
    return base64.urlsafe_b64encode(secret).decode().rstrip("=")


def _mark(path: Path) -> Path:
    """Return the empty file that says that there have been keys."""
    return path.with_name(".keys_were_made")


def _leave(mark: Path) -> None:
    try:
        mark.touch()
        force_to_disk(mark.parent)
    except OSError as error:
        raise InputError(f"{mark} cannot be written: {error.strerror}") from None


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return a value that changes whenever the file is replaced; None if there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"the file of keys cannot be read: {error}") from None
    return status.st_mtime_ns, status.st_ino


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, keys: list[Key]) -> None:
    """Replace the file whole, readable by its owner alone."""
    part = path.with_name(path.name + ".part")
    data = msgspec.json.format(msgspec.json.encode(_File(keys)))
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
