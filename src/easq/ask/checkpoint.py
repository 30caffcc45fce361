"""The state of asking in a file: a restart reads only the part of the log that came after.

The file is a copy of what the log says, never the only one. A file that is damaged, of other settings or of a
longer log is ignored, and the log is read as if there were no file. A view that was decided and not asked may
be in the file and, after a crash, not on the log. It stays decided.

Days of asks may take hundreds of megabytes. The thread that decides hands over references only, and they are
encoded and written a slice at a time, so the file costs neither rankings nor memory.
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

PackedState = list[list[Any] | bytes]
"""The fields of `AsksState`: lists of immutable values, and the fields that change as packed bytes."""


class AsksFile:
    """The file at `path`, for the settings of one recipe. Any number of processes may read, one may write."""

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self._path = path
        self._writing = threading.Lock()
        settings = (recipe.ask, recipe.question, recipe.quality, recipe.join)
        self._mark = b"easq.asks.3" + msgspec.json.encode(settings) + b"\0"

    @property
    def exists(self) -> bool:
        """Return whether there is a file, usable or not."""
        return self._path.exists()

    def read(self, asks: Asks, ends: Sequence[int]) -> bool:
        """Restore new asks from the file, and return whether it could be used.

        `ends` are the end offsets of EVENTS.
        """
        try:
            data = self._path.read_bytes()
        except OSError:
            return False
        packed = memoryview(data)[_SUM_BYTES:]
        digest = self._digest()
        digest.update(packed)
        if data[:_SUM_BYTES] != digest.digest():
            return False
        state = _decoder.decode(packed)
        if len(state.offsets) != len(ends) or any(
            o > end for o, end in zip(state.offsets, ends, strict=True)
        ):
            return False
        asks.restore(state)
        return True

    def take(self, asks: Asks) -> PackedState:
        """Return what to write. For the thread that the asks belong to."""
        fields = msgspec.structs.astuple(asks.state())
        return [field if isinstance(field, list) else _encode(field) for field in fields]

    def write(self, packed: PackedState) -> None:
        """Replace the file. May be called in any thread. Raises OSError."""
        # A fixed name, so that what a kill leaves behind is overwritten and does not accumulate.
        part, digest = self._path.with_name(f"{self._path.name}.part"), self._digest()
        # A service that stops writes a last time, while an earlier write may still run in its thread.
        with self._writing:
            try:
                # Not forced to disk: what a power cut leaves does not match its checksum.
                with part.open("wb") as file:
                    file.write(bytes(_SUM_BYTES))
                    for piece in _pieces(packed):
                        digest.update(piece)
                        file.write(piece)
                    file.seek(0)
                    file.write(digest.digest())
                part.replace(self._path)
            finally:
                part.unlink(missing_ok=True)

    def _digest(self) -> hashlib.blake2b:
        """Return a new checksum, which depends on the settings too."""
        return hashlib.blake2b(self._mark, digest_size=_SUM_BYTES)


def _pieces(state: PackedState) -> Iterator[bytes]:
    """Yield, slice by slice, the same bytes as encoding `AsksState` at once."""
    yield _head(len(state))
    for field in state:
        if isinstance(field, bytes):
            yield field
            continue
        yield _head(len(field))
        for start in range(0, len(field), _SLICE):
            part = field[start : start + _SLICE]
            yield _encode(part)[len(_head(len(part))) :]


def _head(length: int) -> bytes:
    """Return the header of an array in MessagePack."""
    if length < 16:  # the bounds of the format
        return bytes([0x90 | length])
    if length < 1 << 16:
        return b"\xdc" + struct.pack(">H", length)
    return b"\xdd" + struct.pack(">I", length)
