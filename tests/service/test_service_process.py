"""The service of a home keeps writing its status, whatever the disk does."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from easq.home.home import Home, open_home
from easq.service.service_process import run_service
from tests.support.http_service import until
from tests.support.small_worlds import small_recipe


def test_an_unwritable_status_is_logged_once_and_written_later(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home, stop, output = open_home(tmp_path / "home", small_recipe()), threading.Event(), ""
    lines, taken = structlog.get_config(), home.folder / "service.json"
    taken.mkdir()

    def has_said() -> bool:
        nonlocal output
        output += capfd.readouterr().err
        return "the status cannot be written" in output

    thread = threading.Thread(target=run_service, args=(home, "127.0.0.1", 0, stop))
    thread.start()
    try:
        until(has_said)
        # It has tried again when the second attempt's failure was passed over in silence.
        stop.wait(1.5)
        taken.rmdir()
        until(lambda: home.read_status("service").get("port"))
    finally:
        stop.set()
        thread.join()
        structlog.configure(**lines)
    assert has_said()
    lines = [json.loads(line) for line in output.splitlines() if "the status cannot" in line]
    assert [line["reason"] for line in lines] == ["Is a directory"]
    assert list(home.folder.glob("*.part")) == []


def test_a_secret_that_is_removed_or_changed_is_told_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home, lines = open_home(tmp_path / "home", small_recipe()), structlog.get_config()
    told = []
    try:
        for change in (lambda: None, lambda: None, home.secret_path.unlink, lambda: None, _one_digit(home)):
            change()
            stop = threading.Event()
            stop.set()
            run_service(home, "127.0.0.1", 0, stop)
            told.append(capfd.readouterr().err.count("the secret is not the one that this system had"))
    finally:
        structlog.configure(**lines)
    assert told == [0, 0, 1, 0, 1]


def _one_digit(home: Home) -> Callable[[], object]:
    def change() -> None:
        text = home.secret_path.read_text()
        home.secret_path.write_text(text[:-1] + ("0" if text[-1] != "0" else "1"))

    return change
