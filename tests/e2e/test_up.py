"""`easq up`: both roles under one roof, started, watched, stopped, and never left behind."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from easq.home.home import open_home
from tests.support.live_processes import (
    EASQ,
    PATIENCE_S,
    Role,
    free_port,
    is_ready,
    lively_recipe,
    until,
    write_recipe,
)
from tests.support.live_viewers import Crowd

SOON_S = 15.0


class Up(Role):
    """`easq up` on a port, and whatever it started."""

    def __init__(self, folder: Path, port: int, name: str = "up") -> None:
        self.home, self.url = folder / "home", f"http://127.0.0.1:{port}"
        words = ["up", "--home", str(self.home), "--recipe", str(write_recipe(folder)), "--port", str(port)]
        super().__init__([*EASQ, *words], folder / f"{name}.txt")

    def children(self) -> dict[str, int]:
        """Return the process ids of the roles that this one started."""
        result = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                words = (place / "cmdline").read_bytes().decode().split("\0")
                parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):  # it ended meanwhile
                continue
            if parent == self.pid and len(words) > 3:
                result[words[3]] = int(place.name)
        return result

    def run(self) -> int:
        """Start it and wait for its end; return the exit code."""
        self.start()
        assert self.process is not None
        return self.process.wait(PATIENCE_S)

    def wait_until_ready(self) -> dict[str, int]:
        until(lambda: is_ready(self.url), self.text)
        children = self.children()
        assert children.keys() == {"serve", "learn"}
        return children


@contextmanager
def up(folder: Path) -> Iterator[Up]:
    process = Up(folder, free_port())
    process.start()
    children: set[int] = set()
    try:
        children |= set(process.wait_until_ready().values())
        yield process
        if process.process and process.process.poll() is None:
            children |= set(process.children().values())
    finally:
        if process.process and process.process.poll() is None:
            process.kill()
        for pid in filter(is_running, children):
            os.kill(pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Return whether a process is there that is not just waiting to be buried."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_prints_address_and_status_and_ends_with_all_its_processes(tmp_path: Path) -> None:
    with up(tmp_path) as process:
        children = process.children()
        assert process.url in process.text()
        with Crowd(process.url, pause_s=0.05) as crowd:
            crowd.put_all()
            until(lambda: "rankings/s" in process.text() and len(crowd.answers) > 5, process.text)
        line = next(line for line in process.text().splitlines() if "rankings/s" in line)
        for word in ("events/s", "answers learned", "version v", "events behind"):
            assert word in line
        assert process.end(signal.SIGINT) == 0
        assert not any(map(is_running, children.values()))
        assert process.text().splitlines()[-2:] == ["stopping", "stopped"]
        assert process.errors() == []


def test_what_dies_is_started_again(tmp_path: Path) -> None:
    with up(tmp_path) as process:
        before = process.children()
        for role, name in (("serve", "service"), ("learn", "learner")):
            os.kill(before[role], signal.SIGKILL)
            until(lambda role=role: process.children().get(role, before[role]) != before[role], process.text)
            assert f"{name} ended with code -9; it is started again" in process.text()
        after = process.wait_until_ready()
        until(lambda: open_home(process.home).read_status("learner")["pid"] == after["learn"], process.text)
        assert process.end(signal.SIGTERM) == 0
        assert not any(map(is_running, after.values()))


def test_a_log_that_cannot_be_opened_is_tried_until_it_can(tmp_path: Path) -> None:
    process = Up(tmp_path, free_port())
    taken = process.home / "events.log"
    open_home(process.home, lively_recipe())
    taken.mkdir()
    process.start()
    try:
        until(
            lambda: process.text().count("learner ended with code 3; it is started again") > 3, process.text
        )
        until(lambda: "NOTHING IS LEARNED" in process.text(), process.text)
        assert "learner ended with code 3; it is started again in 2 s" in process.text()
        assert "service ended with code 3; it is started again in 2 s" in process.text()
        taken.rmdir()
        process.wait_until_ready()
        assert process.end(signal.SIGTERM) == 0
    finally:
        if process.process and process.process.poll() is None:
            process.kill()


def test_a_kill_leaves_no_process(tmp_path: Path) -> None:
    with up(tmp_path) as process:
        children = process.children()
        process.kill()
        until(lambda: not any(map(is_running, children.values())), process.text, SOON_S)
        assert not is_ready(process.url)
        assert process.errors() == []


def test_a_port_in_use_is_reported_and_ends_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = Up(tmp_path, port)
        assert process.run() == 1
        assert f"cannot listen on 127.0.0.1:{port}; name another port" in process.text()
        assert "service ended with code 2" in process.text(), "it is not tried again"
        assert "started again" not in process.text()
        assert process.errors() == []


def test_a_second_one_on_the_same_home_ends_and_leaves_the_first_alone(tmp_path: Path) -> None:
    with up(tmp_path) as first:
        children = first.children()
        second = Up(tmp_path, free_port(), "second")
        assert second.run() == 1
        assert f"{first.home} has a running" in second.text()
        assert "ended with code 2" in second.text(), "it is not tried again"
        assert "started again" not in second.text()
        assert second.errors() == []
        assert first.children() == children
        assert is_ready(first.url)


INTERRUPTED = """
import os, signal, subprocess, sys
from easq.cli import main

wanted = sys.argv.pop()
poll = subprocess.Popen.poll

def interrupted(self):
    # The moment in which an exception would leave the lock held: a signal between two lines of poll.
    if os.path.exists(wanted) and self._waitpid_lock.acquire(False):
        os.kill(os.getpid(), signal.SIGINT)
        self._waitpid_lock.release()
    return poll(self)

subprocess.Popen.poll = interrupted
main()
"""


def test_a_signal_at_the_worst_moment_stops_it_too(tmp_path: Path) -> None:
    process = Up(tmp_path, free_port())
    process.command = [EASQ[0], "-c", INTERRUPTED, *process.command[len(EASQ) :], str(tmp_path / "now")]
    process.start()
    try:
        process.wait_until_ready()
        (tmp_path / "now").touch()
        assert process.process is not None
        assert process.process.wait(PATIENCE_S) == 0
    finally:
        if process.process and process.process.poll() is None:
            process.kill()
    assert process.text().rstrip().endswith("stopped")
