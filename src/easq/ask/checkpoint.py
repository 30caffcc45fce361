"""What asking remembers, in a file: a restart reads of the log only what came after.

The file is a copy of what the log says and never the only one. One that is damaged, of other settings or of a
longer log is passed over, and the log is read as if there were none. A view that was decided and not
asked may be in it and, after a crash, not on the log; it is then as decided as it was.
"""

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from easq.ask.state import Asks, Kept
from easq.schema import Recipe

_SUM_BYTES = 16

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Kept)


class AsksFile:
    """The file at `path` for the settings of one recipe."""

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self._path = path
        settings = (recipe.ask, recipe.question, recipe.quality, recipe.join)
        self._mark = b"easq.asks.1" + msgspec.json.encode(settings) + b"\0"

    def read(self, asks: Asks, ends: Sequence[int]) -> bool:
        """Bring asks that have heard nothing to where the file stands; return whether it could be used.

        `ends` are the end offsets of EVENTS.
        """
        try:
            found = self._path.read_bytes()
        except OSError:
            return False
        packed = memoryview(found)[_SUM_BYTES:]
        if found[:_SUM_BYTES] != self._sum(packed):
            return False
        kept = _decoder.decode(packed)
        if len(kept.offsets) != len(ends) or any(o > end for o, end in zip(kept.offsets, ends, strict=True)):
            return False
        asks.restore(kept)
        return True

    def pack(self, asks: Asks) -> bytes:
        """Return what is to be written, in the thread that the asks belong to."""
        return _encode(asks.kept())

    def write(self, packed: bytes) -> None:
        """Put it in the place of what was written before, whole; raises OSError."""
        part = self._path.with_name(f"{self._path.name}.{secrets.token_hex(8)}.part")
        try:
            # Not forced to the disk: what a power cut leaves of it does not match its checksum.
            with part.open("wb") as file:
                file.write(self._sum(packed))
                file.write(packed)
            part.replace(self._path)
        finally:
            part.unlink(missing_ok=True)

    def _sum(self, packed: bytes | memoryview) -> bytes:
        """Return a checksum that is another one for other settings too."""
        found = hashlib.blake2b(self._mark, digest_size=_SUM_BYTES)
        found.update(packed)
        return found.digest()
