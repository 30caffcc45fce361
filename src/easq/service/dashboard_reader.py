"""The dashboard's data: read from the log on demand by a process of its own, and cached.

The event loop never waits for a reading, and at most one takes place at a time. After a reading there is a
pause of `_EVERY_S` seconds and at least nine times what the reading took, so reading costs at most a tenth of
a core.
"""

import time
from contextlib import suppress
from threading import Thread

import structlog
from msgspec import Struct

from easq.errors import InputError
from easq.home.arm_homes import arm_home, arms_with_models
from easq.home.board import BoardPart
from easq.home.home import Home
from easq.service.board_process import BoardProcess
from easq.service.http.messages import Json

_EVERY_S, _PAUSE_SHARE = 10.0, 9.0
_MAX_BOARDS = 8  # experiments whose last reading is cached

LearnerStatus = Json
"""The status that a learner wrote last, without the course of its losses."""

logger = structlog.get_logger("easq.service")


class Board(Struct):
    """The parts known of one experiment; `number` grows with every change."""

    number: int = 0
    is_reading: bool = False
    next_s: float = 0.0
    error: str = ""
    parts: dict[str, BoardPart] = {}


class DashboardReader:
    """Reads one home; `board` may be called as often as you like."""

    def __init__(self, home: Home, process: BoardProcess | None = None) -> None:
        self._home = home
        self._learner_homes = {"main": home}
        self._boards: dict[str, Board] = {}
        self._process = BoardProcess(home.folder) if process is None else process
        self._thread: Thread | None = None
        self._is_closed = False

    def board(self, experiment: str) -> Board:
        """Return what is known, and start a reading if that is old and no other reading takes place."""
        board = self._boards.setdefault(experiment, Board())
        if len(self._boards) > _MAX_BOARDS:
            del self._boards[next(name for name in self._boards if name != experiment)]
        is_free = self._thread is None or not self._thread.is_alive()
        if is_free and not self._is_closed and time.monotonic() >= board.next_s:
            board.is_reading = True
            board.number += 1
            self._thread = Thread(target=self._read, args=(experiment, board), name="board", daemon=True)
            self._thread.start()
        return board

    def learners(self) -> dict[str, LearnerStatus]:
        """Return the last status of every learner; reads files."""
        for name, arm in arms_with_models(self._home):
            if arm.recipe and name not in self._learner_homes:
                with suppress(InputError):  # not made yet
                    self._learner_homes[name] = arm_home(self._home, name)
        statuses = {name: home.read_status("learner") for name, home in self._learner_homes.items()}
        return {name: {k: v for k, v in status.items() if k != "trend"} for name, status in statuses.items()}

    def close(self) -> None:
        """End a reading that takes place, and start no other."""
        self._is_closed = True
        self._process.close()
        if self._thread is not None:
            self._thread.join()

    def _read(self, experiment: str, board: Board) -> None:
        began = time.monotonic()
        try:
            for part in self._process.read(experiment):
                board.parts = {**board.parts, part.name: part}
                board.number += 1
            board.error = ""
        except Exception as error:
            board.error = str(error)
            if not self._is_closed:
                logger.warning("a reading for the dashboard failed", reason=board.error)
        now = time.monotonic()
        board.next_s = now + max(_EVERY_S, _PAUSE_SHARE * (now - began))
        board.is_reading = False
        board.number += 1
