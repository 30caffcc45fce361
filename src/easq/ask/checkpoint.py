"""What asking remembers, in a file: a restart reads of the log only what came after.

The file is a copy of what the log says and never the only one. One that is damaged, of other settings or of a
longer log is passed over, and the log is read as if there were none. A view that was decided and not
asked may be in it and, after a crash, not on the log; it is then as decided as it was.

Days of asks may be hundreds of megabytes. The thread that decides gives away references alone, and what is
made of them to be written is a slice at a time: neither a ranking nor memory feels that there is a file.
"""

import hashlib
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from easq.ask.state import Asks, AsksState
from easq.recipe.recipe import Recipe

_SUM_BYTES = 16
_SLICE = 500  # entries, about a millisecond

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(AsksState)

Taken = list[list[Any] | bytes]
"""The fields of `AsksState`: lists of what never changes, and packed already what does."""


class AsksFile:
    """The file at `path` for the settings of one recipe. Any number of processes may read, one may write."""

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self._path = path
        self._writing = threading.Lock()
        settings = (recipe.ask, recipe.question, recipe.quality, recipe.join)
        self._mark = b"easq.asks.2" + msgspec.json.encode(settings) + b"\0"

    def read(self, asks: Asks, ends: Sequence[int]) -> bool:
        """Bring asks that have heard nothing to where the file stands; return whether it could be used.

        `ends` are the end offsets of EVENTS.
        """
        try:
            found = self._path.read_bytes()
        except OSError:
            return False
        packed = memoryview(found)[_SUM_BYTES:]
        digest = self._digest()
        digest.update(packed)
        if found[:_SUM_BYTES] != digest.digest():
            return False
        kept = _decoder.decode(packed)
        if len(kept.offsets) != len(ends) or any(o > end for o, end in zip(kept.offsets, ends, strict=True)):
            return False
        asks.restore(kept)
        return True

    def take(self, asks: Asks) -> Taken:
        """Return what is to be written, in the thread that the asks belong to."""
        fields = msgspec.structs.astuple(asks.state())
        return [field if isinstance(field, list) else _encode(field) for field in fields]

    def write(self, taken: Taken) -> None:
        """Put it in the place of what was written before, whole, in any thread; raises OSError."""
        # One name, so that what a kill leaves of it is overwritten and does not gather.
        part, digest = self._path.with_name(f"{self._path.name}.part"), self._digest()
        # A service that stops writes a last time, and the thread that wrote meanwhile may not have ended.
        with self._writing:
            try:
                # Not forced to the disk: what a power cut leaves of it does not match its checksum.
                with part.open("wb") as file:
                    file.write(bytes(_SUM_BYTES))
                    for piece in _pieces(taken):
                        digest.update(piece)
                        file.write(piece)
                    file.seek(0)
                    file.write(digest.digest())
                part.replace(self._path)
            finally:
                part.unlink(missing_ok=True)

    def _digest(self) -> hashlib.blake2b:
        """Return the beginning of a checksum that is another one for other settings too."""
        return hashlib.blake2b(self._mark, digest_size=_SUM_BYTES)


def _pieces(taken: Taken) -> Iterator[bytes]:
    """Yield, slice by slice, the bytes that encoding `AsksState` at once would give."""
    yield _head(len(taken))
    for field in taken:
        if isinstance(field, bytes):
            yield field
            continue
        yield _head(len(field))
        for start in range(0, len(field), _SLICE):
            some = field[start : start + _SLICE]
            yield _encode(some)[len(_head(len(some))) :]


def _head(length: int) -> bytes:
    """Return what begins an array in MessagePack."""
    if length < 16:  # the bounds are the format's
        return bytes([0x90 | length])
    if length < 1 << 16:
        return b"\xdc" + struct.pack(">H", length)
    return b"\xdd" + struct.pack(">I", length)
