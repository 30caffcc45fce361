"""A file is complete or unchanged, also if several processes write it."""

from pathlib import Path
from threading import Thread

import pytest

from easq.home.files import replace_file


def test_many_may_replace_a_file_at_once(tmp_path: Path) -> None:
    path, failed = tmp_path / "a.toml", []

    def write(text: str) -> None:
        try:
            for _ in range(50):
                replace_file(path, text, durable=False)
        except OSError as error:
            failed.append(error)

    threads = [Thread(target=write, args=(letter * 10_000,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(set(path.read_text())) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.toml"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        replace_file(tmp_path / "taken", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
