"""Checksums of the files of a folder, so that bytes that changed at rest are noticed when they are read."""

import hashlib
import json
import zlib
from collections.abc import Iterable
from pathlib import Path

from easq.errors import InputError
from easq.home.files import replace_file

SUMS = "sums.json"
_READ = 1 << 22
_DIGEST_BYTES = 16


class DamagedError(InputError):
    """Bytes on the disk are not those that were written. The message names the file."""


def checksum(path: Path) -> int:
    """Return the CRC-32 of a file. May raise OSError."""
    crc = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_READ):
            crc = zlib.crc32(block, crc)
    return crc


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of some files of a folder beside them, in `sums.json`."""
    sums = {name: checksum(folder / name) for name in names}
    (folder / SUMS).write_text(json.dumps(sums))


def check_file(folder: Path, name: str) -> None:
    """Raise DamagedError unless a file has its checksum. A folder without `sums.json` is not checked.

    May raise OSError.
    """
    try:
        sums = json.loads((folder / SUMS).read_text())
        expected = sums[name]
    except FileNotFoundError:
        return
    except (ValueError, LookupError, TypeError):
        raise DamagedError(f"{folder / SUMS} is damaged: it holds no checksum of {name}") from None
    if checksum(folder / name) != expected:
        raise DamagedError(f"{folder / name} is damaged: its checksum is wrong")


def is_another(path: Path, contents: bytes) -> bool:
    """Return whether a file that should stay the same holds something else than when this was last asked.

    `contents` are those of the file now. They are noted as a digest, which does not reveal them, in
    `<path>.sum`. A file of which nothing was noted is not another. May raise OSError.
    """
    noted = path.with_name(f"{path.name}.sum")
    digest = hashlib.blake2b(contents, digest_size=_DIGEST_BYTES, person=b"easq.note").hexdigest()
    before = noted.read_text() if noted.exists() else ""
    if before != digest:
        replace_file(noted, digest)
    return before not in ("", digest)
