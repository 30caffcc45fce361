"""A run that is resumed goes on with the data that it was started with."""

from pathlib import Path

import pytest

from easq.cli.replay import _check_same_data
from easq.errors import InputError


def test_other_data_are_refused_by_the_names_of_their_files(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    (data / "logs").mkdir(parents=True)
    out.mkdir()
    (data / "logs" / "a.csv").write_text("1")
    (data / "b.csv").write_text("2")
    _check_same_data(out, data, resume=False)
    _check_same_data(out, data, resume=True)
    (data / "b.csv").write_text("22")
    (data / "c.csv").write_text("3")
    with pytest.raises(InputError, match=r"started with other data; these files differ: b\.csv, c\.csv"):
        _check_same_data(out, data, resume=True)
    _check_same_data(out, data, resume=False)  # a new run
    with pytest.raises(InputError, match=r"these files differ: a\.csv, c\.csv"):
        _check_same_data(out, data / "b.csv", resume=True)
