"""Log lines never hold up a process and never end it."""

import json
import os
import subprocess
import sys
import time
from threading import Event

import pytest

from easq.home.process_log import LineWriter

CHATTY = """
import logging, sys, time, structlog
from easq.home.process_log import lines_to_stderr
lines_to_stderr()
logger = structlog.get_logger("easq.test")
sys.stdin.readline()
start = time.monotonic()
for n in range(20_000):
    logger.warning("a line", n=n, text="x" * 100)
logging.getLogger("uvicorn.error").warning("of a %s", "library")
print(time.monotonic() - start, flush=True)
sys.stdin.readline()
"""


def run(stderr: int) -> tuple[float, int, float]:
    """Return how long the lines took, the exit code, and how long the end took."""
    command = [sys.executable, "-c", CHATTY]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as child:
        os.close(stderr)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("go\n")
        child.stdin.flush()
        took = float(child.stdout.readline())
        start = time.monotonic()
        child.communicate("end\n", timeout=30)
        return took, child.returncode, time.monotonic() - start


def test_a_pipe_that_nobody_reads_holds_up_nothing() -> None:
    reader, writer = os.pipe()
    took, code, end = run(writer)
    assert (took < 10, code, end < 10) == (True, 0, True)
    first = os.read(reader, 60_000).decode().splitlines()[0]
    assert json.loads(first)["event"] == "a line"
    os.close(reader)


def test_a_pipe_that_is_closed_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    took, code, _ = run(writer)
    assert (took < 10, code) == (True, 0)


def test_lines_come_in_order_and_the_last_before_the_end() -> None:
    script = CHATTY.replace("20_000", "50")
    done = subprocess.run(
        [sys.executable, "-c", script], input="\n\n", capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line.get("n") for line in lines[:-1]] == list(range(50))
    assert (lines[-1]["event"], lines[-1]["level"]) == ("of a library", "warning")


def test_what_was_lost_is_told() -> None:
    may_write, written = Event(), []

    def write(text: str) -> None:
        may_write.wait()
        written.append(text)

    lines = LineWriter(write)
    lines.put("first")
    while lines._lines:
        time.sleep(0.001)
    for n in range(1500):
        lines.put(str(n))
    may_write.set()
    lines.flush(10)
    lines.put("last")
    lines.flush(10)
    text = "".join(written).splitlines()
    assert text[:2] == ["first", "0"]
    assert json.loads(text[-2]) == {"event": "lines were lost", "num": 500, "level": "warning"}
    assert text[-1] == "last"
    assert len(text) == 1003


PATIENT = """
import sys
from rich.console import Console
from easq.service.supervisor import patient
console = patient(Console(width=130, markup=False))
sys.stdin.readline()
for n in range(3000):
    console.print(f"{n} [/x] rankings/s" + "." * 80)
print("done", file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize("is_closed", [True, False])
def test_what_up_prints_holds_up_nothing_and_ends_nothing(is_closed: bool) -> None:
    reader, writer = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", PATIENT],
        stdin=subprocess.PIPE,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        os.close(writer)
        if is_closed:
            os.close(reader)
        assert child.communicate("go\n", timeout=30)[1] == "done\n"
        assert child.returncode == 0
    if not is_closed:
        assert os.read(reader, 10_000).decode().startswith("0 [/x] rankings/s...")
        os.close(reader)
