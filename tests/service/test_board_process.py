"""The process that reads for the dashboard: it stays, and what goes wrong with it is survived."""

import os
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from easq.service.board_process import BoardError, BoardProcess
from tests.support.http_service import until

HEAD = "import os, sys, time\nnumber = 0\nfor line in sys.stdin:\n    number += 1\n"
PART = '{"name": "%s", "html": "", "at_ms": 1, "seconds": 0.5}'
WHOLE = f"    print('{PART}' % f'{{os.getpid()}}.{{number}}', 'null', sep='\\n', flush=True)\n"


def process_of(folder: Path, body: str, **limits: float) -> BoardProcess:
    """Return a process that does `body` for every query."""
    (folder / "reader.py").write_text(HEAD + body)
    return BoardProcess(folder, (sys.executable, str(folder / "reader.py")), **limits)  # type: ignore[arg-type]


def names(process: BoardProcess) -> list[str]:
    return [part.name for part in process.read("try")]


def test_one_process_takes_one_reading_after_the_other(tmp_path: Path) -> None:
    process = process_of(tmp_path, WHOLE)
    replies = [names(process) for _ in range(3)]
    process.close()
    (pid,) = {name.split(".")[0] for (name,) in replies}
    assert [name.split(".")[1] for (name,) in replies] == ["1", "2", "3"]
    until(lambda: not Path(f"/proc/{pid}").exists() or is_zombie(int(pid)))


def test_a_process_is_replaced_after_so_many_readings(tmp_path: Path) -> None:
    process = process_of(tmp_path, WHOLE, max_readings=2)
    replies = [names(process)[0] for _ in range(3)]
    process.close()
    assert [name.split(".")[1] for name in replies] == ["1", "2", "1"]


def test_a_dead_process_is_logged_with_its_last_lines_and_restarted(tmp_path: Path) -> None:
    body = (
        f"    print('{PART}' % 'first', flush=True)\n    print('no more', file=sys.stderr)\n    sys.exit(3)\n"
    )
    process = process_of(tmp_path, body)
    for _ in range(2):
        reading = process.read("try")
        assert next(reading).name == "first"
        with pytest.raises(BoardError, match="the reading ended with code 3: no more"):
            next(reading)
    process.close()


def test_a_process_that_died_between_readings_is_started_again(tmp_path: Path) -> None:
    process = process_of(tmp_path, WHOLE)
    first = names(process)[0]
    os.kill(int(first.split(".")[0]), 9)
    until(lambda: is_zombie(int(first.split(".")[0])))
    assert names(process)[0].split(".")[1] == "1"
    process.close()


def test_a_reading_that_hangs_is_ended(tmp_path: Path) -> None:
    process = process_of(tmp_path, "    time.sleep(60)\n", limit_s=0.3)
    began = time.monotonic()
    with pytest.raises(BoardError, match=r"the reading took more than 0.3 s and was ended"):
        names(process)
    assert time.monotonic() - began < 30
    process.close()


@pytest.mark.parametrize("line", ["nonsense", "{}", "[1]"])
def test_a_line_that_is_no_part_ends_the_process(tmp_path: Path, line: str) -> None:
    process = process_of(tmp_path, f"    print('{line}', flush=True)\n    time.sleep(60)\n")
    with pytest.raises(BoardError, match="the reading wrote a line that is no part of a dashboard"):
        names(process)
    process.close()


def test_closing_ends_a_reading_and_allows_no_other(tmp_path: Path) -> None:
    process = process_of(tmp_path, f"    print('{PART}' % 'first', flush=True)\n    time.sleep(60)\n")
    reading = process.read("try")
    assert next(reading).name == "first"
    errors: list[BoardError] = []

    def go_on() -> None:
        try:
            list(reading)
        except BoardError as error:
            errors.append(error)

    thread = Thread(target=go_on)
    thread.start()
    process.close()
    thread.join(30)
    assert "ended with code -9" in str(errors[0])
    with pytest.raises(BoardError, match="the service is stopping"):
        names(process)


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
