"""Small files that others read while they are written: readers see the old file or the new one."""

import errno
import os
import secrets
from pathlib import Path

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def replace_file(path: Path, text: str, *, durable: bool = True) -> None:
    """Replace a file by `text`. Several processes may do so at once.

    `durable` forces the text to disk first. Raises OSError, and the file is then unchanged.
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


def create_file(path: Path, text: str) -> bool:
    """Write a file durably if there is none; return whether it was written. Of several processes one writes.

    Raises OSError.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        replace_file(part, text)
        os.link(part, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():  # such a file system cannot tell who of two came first
            return False
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    force_to_disk(path.parent)
    return True


def force_to_disk(path: Path) -> None:
    """Force the contents of a file or a folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
