"""The clock that stamps events: real time, or a held time for simulations."""

import mmap
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from easq.home.home import Home

NowMs = Callable[[], int]
"""Return the time in milliseconds since 1970, UTC."""

_FILE = "clock"
_TIME = struct.Struct("<q")


def real_ms() -> int:
    """Return the real time."""
    return time.time_ns() // 1_000_000


def clock_of(home: Home) -> NowMs:
    """Return the function that reads a home's clock: real time, unless its recipe says that it is held."""
    return HeldClock(home.folder).now_ms if home.recipe.clock.held else real_ms


class HeldClock:
    """A time in a file, which all processes of a home read and one of them sets.

    It starts at `begin_ms`, or at the real time of its first use. Reads and writes of its eight aligned bytes
    are atomic.
    """

    def __init__(self, folder: Path, begin_ms: int | None = None) -> None:
        path = folder / _FILE
        if not path.exists():
            path.write_bytes(_TIME.pack(real_ms() if begin_ms is None else begin_ms))
        with path.open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), _TIME.size)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Return whether a folder holds a clock."""
        return (folder / _FILE).exists()

    def now_ms(self) -> int:
        """Return the held time."""
        return int(_TIME.unpack_from(self._bytes)[0])

    def set(self, now_ms: int) -> None:
        """Set the time. Raises ValueError for an earlier one, because time does not go back."""
        if now_ms < self.now_ms():
            raise ValueError(f"time does not go back: it is {self.now_ms()}, got {now_ms}")
        _TIME.pack_into(self._bytes, 0, now_ms)

    def close(self) -> None:
        """Release the file."""
        self._bytes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
