"""Both roles of a live system as children of one process, with one line that says how they are."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from easq.home import Home

_LOOK_S = 0.5
_PLAIN_EVERY_S = 10.0
_STOP_S = 30.0
_DEATHS, _WITHIN_S = 3, 30.0


@dataclass
class Child:
    """A role in a process of its own; it ends with this process, whatever ends that."""

    role: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=_DEATHS))

    def start(self) -> None:
        """Start it; closing its standard input, or our death, tells it to stop."""
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, env={**os.environ, **threads}, start_new_session=True
        )

    def stop(self) -> None:
        """Tell it to stop, and wait."""
        if self.process is None:
            return
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def has_died(self) -> bool:
        """Return whether it ended though nobody told it to."""
        return self.process is not None and self.process.poll() is not None

    def is_hopeless(self) -> bool:
        """Count a death and return whether there were too many of late."""
        self.deaths.append(time.monotonic())
        return len(self.deaths) == _DEATHS and self.deaths[-1] - self.deaths[0] < _WITHIN_S


def run_up(home: Home, host: str, port: int, console: Console) -> int:
    """Run service and learner until Ctrl-C; return the exit code.

    One that dies is started again. Without a learner the service goes on.
    """
    easq = [sys.executable, "-m", "easq"]
    place = ["--home", str(home.folder), "--until-stdin-closes"]
    learner = Child("learner", [*easq, "learn", *place])
    service = Child("service", [*easq, "serve", *place, "--host", host, "--port", str(port)])
    children = [learner, service]
    # A shell starts what runs in its background with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    console.print(f"home {home.folder}, http://{host}:{port}; Ctrl-C stops")
    try:
        for child in children:
            child.start()
        with console.status("starting") as line:
            return _watch(home, children, console, line)
    except KeyboardInterrupt:
        console.print("stopping")
        return 0
    finally:
        for child in children:
            child.stop()
        console.print("stopped")


def _watch(home: Home, children: list[Child], console: Console, line: Any) -> int:
    pace, told_at = Pace(), time.monotonic()
    while True:
        time.sleep(_LOOK_S)
        for child in children:
            if not child.has_died():
                continue
            assert child.process is not None
            code = child.process.returncode
            is_hopeless = child.is_hopeless() or code == 2  # 2: what is wrong was said, and stays wrong
            if not is_hopeless:
                console.print(f"{child.role} ended with code {code}; it is started again")
                child.start()
            elif child.role == "service" or code == 2:
                console.print(f"{child.role} ended with code {code}")
                return 1
            else:
                child.process = None
                console.print(
                    f"learner ended with code {code}, again and again: rankings go on with the parameters "
                    "they have. Its messages say why; `easq rollback` may help, then `easq learn` starts it"
                )
        text = pace.line(home.told("service"), home.told("learner"))
        if children[0].process is None:
            text += ", NOTHING IS LEARNED"
        line.update(text)
        if not console.is_terminal and time.monotonic() >= told_at + _PLAIN_EVERY_S:
            told_at = time.monotonic()
            console.print(text)


class Pace:
    """Turns what the roles tell into one line; rates are of the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float, float]] = deque(maxlen=10)

    def line(self, service: dict[str, Any], learner: dict[str, Any]) -> str:
        """Return the line."""
        if not service.get("ready"):
            return str(service.get("reason", "starting"))
        point = (service["at"], service["rankings"], service["events_accepted"])
        if not self._seen or self._seen[-1][0] != point[0]:
            self._seen.append(point)
        first, last = self._seen[0], self._seen[-1]
        passed = max(last[0] - first[0], 1e-9)
        rank, event = ((last[n] - first[n]) / passed if len(self._seen) > 1 else 0.0 for n in (1, 2))
        freshness = service.get("freshness_seconds")
        fresh = "no answer yet" if freshness is None else f"freshness {1000 * freshness:.0f} ms"
        return (
            f"{rank:.1f} rankings/s, {event:.1f} events/s, {learner.get('answers', 0):,} answers learned, "
            f"{fresh}, version {service['version']}, {learner.get('lag_events', 0):,} events behind"
        )
