"""Runs service and learners as child processes, with one line of status on the console."""

import atexit
import os
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import IO, cast

from rich.console import Console
from rich.status import Status
from rich.text import Text

from easq.home.arm_homes import arms_with_models, open_arms
from easq.home.home import Home
from easq.home.process_log import LineWriter, write_to
from easq.service.http.messages import Json

_POLL_S = 0.5
_PLAIN_EVERY_S = 10.0
_STOP_S = 30.0
_PAUSES_S = (1.0, 30.0)  # before another start after early deaths, doubling between these
_WELL_S = 30.0  # a child that ran this long did not die early
SETTINGS_WRONG = 2
"""The exit code of a role that would end the same way if it were started again."""


@dataclass
class Child:
    """A role in a process of its own; it ends with this process, whatever ends that.

    After a death it is started again: at once, but after several early deaths with growing pauses. While it
    is down, the status line shows `alarm`.
    """

    role: str
    command: list[str]
    alarm: str = ""
    process: subprocess.Popen[bytes] | None = None
    pause_s: float = 0.0
    _next_pause_s: float = 0.0
    _started: float = 0.0
    _due: float = 0.0

    def start(self) -> None:
        """Start it; it stops when its standard input is closed, also by our death."""
        self._started = time.monotonic()
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, env={**os.environ, **threads}, start_new_session=True
        )

    def stop(self) -> None:
        """Close its standard input and wait until it has stopped."""
        if self.process is None:
            return
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def death(self) -> int | None:
        """Return the exit code, once, if it ended without `stop`; `start_if_due` then starts it again."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process, now = None, time.monotonic()
        was_well = now >= self._started + _WELL_S
        self.pause_s = 0.0 if was_well else self._next_pause_s
        self._next_pause_s = min(max(2 * self.pause_s, _PAUSES_S[0]), _PAUSES_S[1])
        self._due = now + self.pause_s
        return code

    def start_if_due(self) -> None:
        """Start it again if it is down and its pause is over."""
        if self.process is None and time.monotonic() >= self._due:
            self.start()


def run_up(home: Home, host: str, port: int, console: Console, *, learns_first: bool = False) -> int:
    """Run service and learners until Ctrl-C; return the exit code.

    A child that dies is started again for as long as this runs, and the others go on meanwhile. Only a child
    that ends with SETTINGS_WRONG ends all. With `learns_first` the service starts once the learner has read
    what the log holds.
    """
    console = patient(console)
    easq = [sys.executable, "-m", "easq.cli"]
    place = ["--home", str(home.folder), "--until-stdin-closes"]
    open_arms(home)
    arms = [name for name, arm in arms_with_models(home) if arm.recipe]
    children = [
        Child("learner", [*easq, "learn", *place], alarm="NOTHING IS LEARNED"),
        *(
            Child(f"learner of {arm}", [*easq, "learn", *place, "--arm", arm], alarm=f"{arm} DOES NOT LEARN")
            for arm in arms
        ),
        Child(
            "service",
            [*easq, "serve", *place, "--host", host, "--port", str(port)],
            alarm="NOTHING IS RANKED",
        ),
    ]
    signals: list[int] = []
    # Recorded, not raised: an exception between two lines of Popen.poll would leave its lock held for good.
    # A shell starts its background processes with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: signals.append(number))
    console.print(f"home {home.folder}, http://{host}:{port}, dashboard at /dashboard; Ctrl-C stops")
    try:
        held = [children[-1]] if learns_first else []
        for child in children:
            if child not in held:
                child.start()
        with console.status("starting") as line:
            code = _watch(home, children, held, console, line, signals)
        console.print("stopping")
        return code
    finally:
        for child in children:
            child.stop()
        console.print("stopped")


class _PatientFile:
    """A file for a console whose lines nobody waits for."""

    def __init__(self) -> None:
        self._lines = LineWriter(partial(write_to, "stdout"))
        atexit.register(self._lines.flush)

    def write(self, text: str) -> int:
        """Hand a printed text over."""
        if text:
            self._lines.put(text.removesuffix("\n"))
        return len(text)

    def flush(self) -> None:
        """Do nothing: the lines are written in their own time."""


def patient(console: Console) -> Console:
    """Return a console that a pipe which nobody reads neither holds up nor ends; a terminal's is as it is."""
    if console.is_terminal:
        return console
    return Console(file=cast(IO[str], _PatientFile()), width=console.width, markup=False, emoji=False)


def _watch(
    home: Home, children: list[Child], held: list[Child], console: Console, line: Status, signals: list[int]
) -> int:
    """Look after the children until a signal comes; return the exit code.

    Those that are `held` start once the learner has caught up with the log.
    """
    pace, printed_at, started_s = Pace(), time.monotonic(), time.time()
    while True:
        time.sleep(_POLL_S)
        if signals:
            return 0
        for child in children:
            code = child.death()
            if code == SETTINGS_WRONG:
                console.print(f"{child.role} ended with code {code}")
                return 1
            if code is not None:
                when = f" in {child.pause_s:.0f} s" if child.pause_s else ""
                console.print(f"{child.role} ended with code {code}; it is started again{when}")
            if child not in held:
                child.start_if_due()
        learner = home.read_status("learner")
        is_new = learner.get("at", 0.0) >= started_s
        if held and is_new and learner["lag_events"] == 0:
            held.clear()
        if held:
            behind = f"{learner['lag_events']:,} events" if is_new else "all events"
            text = f"the history is learned before the service starts: {behind} to go"
        else:
            text = pace.line(home.read_status("service"), learner)
        for child in children:
            if child.process is None and child not in held:
                text += f", {child.alarm}"
        line.update(Text(text))  # a plain string would be read as markup
        if not console.is_terminal and time.monotonic() >= printed_at + _PLAIN_EVERY_S:
            printed_at = time.monotonic()
            console.print(text)


class Pace:
    """Turns the statuses of the roles into one line; rates are of the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float, float]] = deque(maxlen=10)

    def line(self, service: Json, learner: Json) -> str:
        """Return the line."""
        if not service.get("ready"):
            return str(service.get("reason", "starting"))
        shadow = service.get("shadow_rankings", 0.0)
        point = (service["at"], service.get("rankings", 0.0) + shadow, service.get("events_accepted", 0.0))
        if self._seen and point[1] < self._seen[-1][1]:
            self._seen.clear()  # the service was started again and counts from nothing
        if not self._seen or self._seen[-1][0] != point[0]:
            self._seen.append(point)
        first, last = self._seen[0], self._seen[-1]
        passed = max(last[0] - first[0], 1e-9)
        rank, event = ((last[n] - first[n]) / passed if len(self._seen) > 1 else 0.0 for n in (1, 2))
        freshness = service.get("freshness_seconds")
        fresh = "no answer yet" if freshness is None else f"freshness {1000 * freshness:.0f} ms"
        in_shadow = f" ({shadow:,.0f} of all in the shadow)" if shadow else ""
        alarms = "".join(f", ALARM: {text}" for role in (learner, service) for text in role.get("alarms", ()))
        return (
            f"{rank:.1f} rankings/s{in_shadow}, {event:.1f} events/s, "
            f"{learner.get('answers', 0):,} answers learned, {fresh}, "
            f"version {service.get('version', 'unknown')}, {learner.get('lag_events', 0):,} events behind"
            f"{alarms}"
        )
