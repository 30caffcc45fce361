"""Small files that others read while they are written: there whole or as they were before."""

import os
import secrets
from pathlib import Path


def replace_file(path: Path, text: str, *, durable: bool = True) -> None:
    """Put `text` in the place of the file, for any number of processes that do so at once.

    `durable` forces it to the disk first. Raises OSError, and then the file is as it was before.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("x") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if durable:
        force_to_disk(path.parent)


def force_to_disk(path: Path) -> None:
    """Make what a file or a folder holds durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
