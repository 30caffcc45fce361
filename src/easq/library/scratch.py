"""Folders that live as long as the object that they are for."""

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "easq-"


@contextmanager
def new_folder() -> Iterator[Path]:
    """Yield a new temporary folder, which stays unless an error leaves the block."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def remove_with(owner: object, folder: Path) -> None:
    """Remove the folder when its owner is gone, at the end of the process at the latest."""
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
