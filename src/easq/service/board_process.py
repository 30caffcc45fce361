"""The long-lived process that reads the log for the dashboard: one line per query and per part of a reply."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock, Timer

import msgspec

from easq.home.board import BoardPart, BoardQuery

COMMAND = (sys.executable, "-m", "easq.prove.report.board_reader")

_LIMIT_S = 900.0
_MAX_READINGS = 500
_MESSAGE_LENGTH = 300


class BoardError(Exception):
    """A reading failed; the message says how."""


class BoardProcess:
    """Started by the first reading and again by the next one after a failure, which ends it.

    A reading may take `limit_s` seconds. After `max_readings` the process is replaced, so that whatever it
    has gathered in memory is bounded. One reading at a time; `close` may be called from another thread.
    """

    def __init__(
        self,
        folder: Path,
        command: Sequence[str] = COMMAND,
        limit_s: float = _LIMIT_S,
        max_readings: int = _MAX_READINGS,
    ) -> None:
        self._command, self._limit_s, self._max_readings = [*command, str(folder)], limit_s, max_readings
        self._process: subprocess.Popen[bytes] | None = None
        self._num_readings = 0
        self._is_closed = False
        self._lock, self._reading = Lock(), Lock()

    def read(self, experiment: str) -> Iterator[BoardPart]:
        """Yield the parts of the dashboard as they come; raise BoardError."""
        with self._reading:
            yield from self._read(experiment)

    def close(self) -> None:
        """End the process, also during a reading, and start no other."""
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                self._process.kill()
        with self._reading:
            self._stop()

    def _read(self, experiment: str) -> Iterator[BoardPart]:
        process = self._ready_process()
        assert process.stdin is not None and process.stdout is not None
        is_late = False

        def end() -> None:
            nonlocal is_late
            is_late = True
            process.kill()

        timer, is_complete = Timer(self._limit_s, end), False
        timer.daemon = True
        timer.start()
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(msgspec.json.encode(BoardQuery(experiment)) + b"\n")
                process.stdin.flush()
            for line in process.stdout:
                part = msgspec.json.decode(line, type=BoardPart | None)
                if part is None:
                    is_complete = True
                    return
                yield part
            reason = f"ended with code {process.wait()}: {self._last_words()}"
        except msgspec.DecodeError as error:
            raise BoardError(f"the reading wrote a line that is no part of a dashboard: {error}") from None
        finally:
            timer.cancel()
            if not is_complete:
                self._stop()
        if is_late:
            reason = f"took more than {self._limit_s:g} s and was ended"
        raise BoardError(f"the reading {reason}")

    def _ready_process(self) -> subprocess.Popen[bytes]:
        if self._process is not None and (
            self._process.poll() is not None or self._num_readings >= self._max_readings
        ):
            self._stop()
        with self._lock:
            if self._is_closed:
                raise BoardError("the service is stopping")
            if self._process is None:
                self._num_readings = 0
                self._stderr = TemporaryFile()  # noqa: SIM115 - closed by _stop
                pipe = subprocess.PIPE
                self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=self._stderr)
            self._num_readings += 1
            # The process shares the file's position, so it goes on writing at the start.
            self._stderr.seek(0)
            self._stderr.truncate()
            return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
            self._stderr.close()

    def _last_words(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace").strip()[-_MESSAGE_LENGTH:]
