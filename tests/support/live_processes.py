"""A live system of real processes, each stopped and started again as a test needs."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from easq.home.home import Home, open_home
from easq.recipe.features import History, Numeric, RateOf
from easq.recipe.read import to_toml
from easq.recipe.recipe import Recipe
from tests.support.small_worlds import small_recipe

PATIENCE_S = 60.0
EASQ = (sys.executable, "-m", "easq.cli")
QUICK = (
    "join.behavior_window=0.05",
    "join.answer_window=5.0",
    "join.lateness=0.02",
    "live.flush_seconds=0.5",
    "live.checkpoint_seconds=0.7",
    "live.snapshot_seconds=2.5",
    "service.profile_store_seconds=0.7",
)
"""Windows so short that a test sees behavior trained and files cut off while they are written."""


def lively_recipe(*overrides: str) -> Recipe:
    """Return a small recipe with every kind of feature that the service computes from events."""
    recipe = small_recipe(*QUICK, *overrides)
    from_events = (
        History(name="liked_items", of="item_id", length=10, where="like"),
        Numeric(
            name="like_rate",
            side="candidate",
            boundaries=(0.01, 0.03, 0.1, 0.3),
            rate=RateOf(behavior="like", half_life_hours=0.01, prior_views=5.0),
        ),
    )
    return msgspec.structs.replace(recipe, features=(*recipe.features, *from_events))


@dataclass
class Role:
    """The process of one role; all its lives append their output to the file `output`."""

    command: list[str]
    output: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        with self.output.open("ab") as file:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment()
            )

    def end(self, number: signal.Signals) -> int:
        """Send a signal, wait, and return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        assert self.end(signal.SIGKILL) == -signal.SIGKILL

    def stop(self) -> None:
        assert self.end(signal.SIGTERM) == 0, self.text()

    def text(self) -> str:
        return self.output.read_text()

    def errors(self) -> list[str]:
        """Return the log lines about errors."""
        return [
            line for line in self.text().splitlines() if '"level": "error"' in line or "Traceback" in line
        ]


@dataclass
class Running:
    """Service and learner of one home as processes of their own."""

    home: Home
    url: str
    service: Role
    learner: Role

    def start(self) -> None:
        self.service.start()
        self.learner.start()

    def wait_until_ready(self) -> None:
        until(lambda: self.status("learner").get("pid") == self.learner.pid, self.text)
        until(lambda: is_ready(self.url), self.text)

    def wait_until_learned(self) -> None:
        """Wait until the learner has read everything and learned everything that can be learned."""

        def is_done() -> bool:
            status, now = self.status("learner"), time.time()
            is_idle = status["lag_events"] == 0 and status["waiting_rows"] == 0
            return bool(is_idle and status["at"] > now - 1)

        until(is_done, self.text)

    def stop(self) -> None:
        self.service.stop()
        self.learner.stop()

    def status(self, role: str) -> dict[str, Any]:
        return self.home.read_status(role)

    def text(self) -> str:
        return f"service:\n{self.service.text()[-3000:]}\nlearner:\n{self.learner.text()[-3000:]}"


@contextmanager
def running(folder: Path, *overrides: str) -> Iterator[Running]:
    """Yield a system that is ready; processes that still run at the end are killed."""
    home, port = open_home(folder / "home", lively_recipe(*overrides)), free_port()
    place = ["--home", str(home.folder)]
    service = Role([*EASQ, "serve", *place, "--port", str(port)], folder / "service.txt")
    learner = Role([*EASQ, "learn", *place], folder / "learner.txt")
    system = Running(home, f"http://127.0.0.1:{port}", service, learner)
    try:
        system.start()
        system.wait_until_ready()
        yield system
    finally:
        for role in (service, learner):
            if role.process is not None and role.process.poll() is None:
                role.kill()


def write_recipe(folder: Path, *overrides: str) -> Path:
    """Write the lively recipe to a file and return its path."""
    path = folder / "recipe.toml"
    path.write_text(to_toml(lively_recipe(*overrides)))
    return path


def easq(*words: str) -> tuple[int, Any]:
    """Run a command with JSON output; return its exit code and its output."""
    done = subprocess.run(
        [*EASQ, *words, "--json"], capture_output=True, env=environment(), timeout=PATIENCE_S, check=False
    )
    assert done.stdout, done.stderr.decode()
    return done.returncode, json.loads(done.stdout)


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=5.0).status_code == 200
    except httpx.TransportError:
        return False


def until(holds: Callable[[], bool], why: Callable[[], str] = str, patience_s: float = PATIENCE_S) -> None:
    """Wait until something holds; fail with `why` if it does not in time."""
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end, f"it did not happen in time\n{why()}"
        time.sleep(0.02)
