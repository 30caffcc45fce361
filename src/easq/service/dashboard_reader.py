"""What the dashboard shows of the log: read by a child process when somebody looks, and kept until it is old.

The event loop never waits for a reading. At most one child runs at a time. After a look there is a pause of
`_EVERY_S` seconds and at least nine times what the look took, so looking costs at most a tenth of a core.
"""

import subprocess
import sys
import time
from contextlib import suppress
from tempfile import TemporaryFile
from threading import Thread
from typing import Any

import msgspec
import structlog

from easq.errors import InputError
from easq.home.arm_homes import arm_home, arms_with_models
from easq.home.board import BoardPart, BoardQuery
from easq.home.home import Home
from easq.service.http.messages import Json

_EVERY_S, _SHARE = 10.0, 9.0
_KEPT = 8  # experiments whose last look is kept

LearnerStatus = Json
"""The status that a learner wrote last, without the course of its losses."""

logger = structlog.get_logger("easq.service")


class Board(msgspec.Struct):
    """The parts known of one experiment; `number` grows with every change."""

    number: int = 0
    is_reading: bool = False
    next_s: float = 0.0
    error: str = ""
    parts: dict[str, BoardPart] = {}


class DashboardReader:
    """Takes looks at one home; `board` may be called as often as one likes."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._learning = {"main": home}
        self._boards: dict[str, Board] = {}
        self._funnel: dict[str, Any] | None = None
        self._thread: Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    def board(self, experiment: str) -> Board:
        """Return what is known, and start a look if that is old and nobody else is looking."""
        board = self._boards.setdefault(experiment, Board())
        if len(self._boards) > _KEPT:
            del self._boards[next(name for name in self._boards if name != experiment)]
        is_free = self._thread is None or not self._thread.is_alive()
        if is_free and not self._is_closed and time.monotonic() >= board.next_s:
            board.is_reading = True
            board.number += 1
            self._thread = Thread(target=self._look, args=(experiment, board), name="look", daemon=True)
            self._thread.start()
        return board

    def learners(self) -> dict[str, LearnerStatus]:
        """Return what the learners told last, the course of their losses left out; reads files."""
        for name, arm in arms_with_models(self._home):
            if arm.recipe and name not in self._learning:
                with suppress(InputError):  # not made yet
                    self._learning[name] = arm_home(self._home, name)
        told = {name: home.read_status("learner") for name, home in self._learning.items()}
        return {name: {k: v for k, v in found.items() if k != "trend"} for name, found in told.items()}

    def close(self) -> None:
        """End a look that is being taken, and take no other."""
        self._is_closed = True
        if self._child is not None:
            self._child.kill()
        if self._thread is not None:
            self._thread.join()

    def _look(self, experiment: str, board: Board) -> None:
        began = time.monotonic()
        try:
            board.error = self._read(experiment, board)
        except Exception as error:
            board.error = f"{type(error).__name__}: {error}"
        if board.error and not self._is_closed:
            logger.warning("a look for the dashboard failed", reason=board.error)
        now = time.monotonic()
        board.next_s = now + max(_EVERY_S, _SHARE * (now - began))
        board.is_reading = False
        board.number += 1

    def _read(self, experiment: str, board: Board) -> str:
        """Take the lines of a child; return what went wrong, or nothing."""
        wanted = msgspec.json.encode(BoardQuery(str(self._home.folder), experiment, self._funnel))
        command = [sys.executable, "-m", "easq.prove.report.board_reader"]
        pipe = subprocess.PIPE
        with (
            TemporaryFile() as said,
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=said) as child,
        ):
            self._child = child
            if self._is_closed:
                child.kill()
            assert child.stdin is not None and child.stdout is not None
            child.stdin.write(wanted)
            child.stdin.close()
            for line in child.stdout:
                part = msgspec.json.decode(line, type=BoardPart)
                if part.funnel is not None:
                    self._funnel, part.funnel = part.funnel, None
                board.parts = {**board.parts, part.name: part}
                board.number += 1
            code = child.wait()
            said.seek(0)
            words = said.read().decode(errors="replace").strip()
        self._child = None
        return f"the reading ended with code {code}: {words[-300:]}" if code else ""
