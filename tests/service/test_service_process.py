"""The service of a home keeps writing its status, whatever the disk does."""

import json
import threading
from pathlib import Path

import pytest
import structlog

from easq.home.home import open_home
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
