"""A file is complete or unchanged, also if several processes write it."""

import errno
import os
from pathlib import Path
from threading import Thread

import pytest

from easq.home.files import create_file, replace_file


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


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_is_created_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no links here")

    if not has_links:
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "a.toml"
    assert create_file(path, "first")
    assert not create_file(path, "second")
    assert path.read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.toml"]
