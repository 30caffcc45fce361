"""Log lines of a process: JSON on standard error, one object a line, no personal data beyond ids.

Nobody waits for them: a pipe that nobody reads would hold up the whole process, and one that is closed would
end it. They are handed to a thread; beyond the newest thousand that wait they are lost, and their number is
told.
"""

import atexit
import json
import logging
import os
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Condition, Thread
from typing import Literal

import structlog

_MOST_WAITING = 1000
_LAST_S = 1.0  # how long the end of the process waits for the last lines


class LineWriter:
    """Writes lines in a thread of its own, which begins with the first."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._lines: deque[str] = deque()
        self._num_lost = 0
        self._is_idle = True
        self._changed = Condition()
        self._thread: Thread | None = None

    def put(self, line: str) -> None:
        """Hand over a line, which never takes long."""
        with self._changed:
            if len(self._lines) >= _MOST_WAITING:
                self._num_lost += 1
                return
            if self._num_lost:
                told = {"event": "lines were lost", "num": self._num_lost, "level": "warning"}
                self._lines.append(json.dumps(told))
                self._num_lost = 0
            self._lines.append(line)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="log lines", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, seconds: float = _LAST_S) -> None:
        """Wait until everything is written, but not for longer than this."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_idle and not self._lines, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                lines, self._is_idle = list(self._lines), False
                self._lines.clear()
            self._write("".join(line + "\n" for line in lines))
            with self._changed:
                self._is_idle = True
                self._changed.notify_all()


class _Lines:
    """What structlog calls: every level's method takes the rendered line."""

    def msg(self, line: str) -> None:
        _TO_STDERR.put(line)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


class _FromLogging(logging.Handler):
    """Makes lines of what libraries log in their own way, the server above all."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        structlog.get_logger(record.name).log(
            record.levelno, record.getMessage(), exc_info=record.exc_info or None
        )


def lines_to_stderr(level: int = logging.INFO) -> None:
    """Write the log lines of this process, its libraries' too, to standard error. Earlier ones go first."""
    _TO_STDERR.flush()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    if not any(isinstance(handler, _FromLogging) for handler in root.handlers):
        root.addHandler(_FromLogging(logging.WARNING))


def write_to(stream: Literal["stdout", "stderr"], text: str) -> None:
    """Write to a standard stream, as it is at this moment; what cannot be written is lost."""
    try:
        data, handle = text.encode(errors="backslashreplace"), getattr(sys, stream).fileno()
        # Not through Python's buffer: at the end of the process its lock might be held for good.
        while data:
            data = data[os.write(handle, data) :]
    except (OSError, ValueError, AttributeError):
        return


_TO_STDERR = LineWriter(partial(write_to, "stderr"))
atexit.register(_TO_STDERR.flush)
