"""Files that should stay the same are compared with a note of what they were."""

from pathlib import Path

from easq.home.checksums import is_another


def test_a_file_is_another_once_after_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert [is_another(path, contents) for contents in (b"a", b"a", b"b", b"b", b"a")] == [
        False,
        False,
        True,
        False,
        True,
    ]
