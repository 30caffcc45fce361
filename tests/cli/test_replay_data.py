"""A run that is resumed goes on with the data that it was started with."""

import json
from pathlib import Path
from typing import Any

import pytest

from easq.cli.replay import _check_same_data, _import_data
from easq.errors import InputError
from easq.sources.datasets.fingerprint import fingerprint
from tests.cli.test_cli import easq
from tests.sources.datasets.test_table import ANSWER, COLUMNS, mapping, view
from tests.support.small_datasets import MINUTE, NOON, write_csv

RECIPE = """
name = "shop"
seed = 1
[data]
loader = "table"
mapping = "{mapping}"
[[features]]
name = "item"
kind = "categorical"
side = "candidate"
rows = 64
[[behaviors]]
name = "like"
[question]
text = "Satisfied?"
options = ["dissatisfied", "satisfied"]
"""


def check(out: Path, data: Path, declared: Path | None = None, resume: bool = True) -> None:
    """Check as a run does, which notes what it is started with."""
    found = fingerprint(data, declared)
    _check_same_data(out, found, resume)
    if not resume:
        (out / "data.json").write_text(json.dumps(found))


def test_other_data_are_refused_by_the_names_of_their_files(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    (data / "logs").mkdir(parents=True)
    out.mkdir()
    (data / "logs" / "a.csv").write_text("1")
    (data / "b.csv").write_text("2")
    check(out, data, resume=False)
    check(out, data)
    (data / "b.csv").write_text("22")
    (data / "c.csv").write_text("3")
    with pytest.raises(InputError, match=r"started with other data; these files differ: b\.csv, c\.csv"):
        check(out, data)
    check(out, data, resume=False)  # a new run
    with pytest.raises(InputError, match=r"these files differ: a\.csv, c\.csv"):
        check(out, data / "b.csv")


@pytest.mark.parametrize("data", ["data", "data/b.csv", "dat*/*.csv"])
def test_other_content_of_the_same_size_is_other_data(tmp_path: Path, data: str) -> None:
    out, file = tmp_path / "out", tmp_path / "data" / "b.csv"
    for folder in (out, file.parent):
        folder.mkdir()
    file.write_text("liked 1")
    check(out, tmp_path / data, resume=False)
    check(out, tmp_path / data)
    file.write_text("liked 0")
    with pytest.raises(InputError, match=r"these files differ: b\.csv\. Name the data"):
        check(out, tmp_path / data)


def test_another_mapping_makes_other_data(tmp_path: Path) -> None:
    data, declared = write_csv(tmp_path / "v.csv", COLUMNS, []), mapping(tmp_path)
    check(tmp_path, data, declared, resume=False)
    declared.write_text(declared.read_text().replace('"satisfied"', '"dissatisfied"') + "# new\n")
    with pytest.raises(InputError, match=r"these files differ: mapping\.toml\."):
        check(tmp_path, data, declared)


def test_a_folder_of_a_version_that_noted_no_content_says_how_to_go_on(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "v.csv", COLUMNS, [])
    (tmp_path / "data.json").write_text(json.dumps([["v.csv", data.stat().st_size]]))
    check(tmp_path, data)  # nothing was imported yet
    (tmp_path / "events.log").write_text("")
    for _ in range(2):
        with pytest.raises(InputError, match=r"noted no content .*events\.log --resume without"):
            check(tmp_path, data)
        (tmp_path / "data.json").unlink(missing_ok=True)


def fetch(data: Path, out: Path, declared: Path, *, resume: bool = False) -> dict[str, Any]:
    """Import as `easq replay --data` does."""
    out.mkdir(exist_ok=True)
    return _import_data("table", data, out / "events.log", declared, resume, lambda *_: lambda *_: None)


def test_data_that_cannot_be_used_leave_what_is_there(tmp_path: Path) -> None:
    declared, out, data = mapping(tmp_path), tmp_path / "out", tmp_path / "v.csv"
    write_csv(data, COLUMNS, [view("ann", "x", NOON)])
    assert fetch(data, out, declared)["rejects"] == str(out / "events.log.rejects.jsonl")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    write_csv(data, COLUMNS, [view("ann", "x", "never")])
    with pytest.raises(InputError, match="no row of 1 can be used"):
        fetch(data, out, declared)
    assert {name: (out / name).read_bytes() for name in before} == before
    write_csv(data, COLUMNS, [view("ann", "y", NOON)])
    assert fetch(data, out, declared)["views"] == 1
    assert {file.name for file in out.iterdir()} == before.keys()


def test_a_run_that_learned_nothing_takes_other_data(tmp_path: Path) -> None:
    declared, out, data = mapping(tmp_path), tmp_path / "out", tmp_path / "v.csv"
    write_csv(data, COLUMNS, [view("ann", "x", NOON)])
    fetch(data, out, declared)
    assert fetch(data, out, declared, resume=True) == {}
    write_csv(data, COLUMNS, [view("ann", item, NOON) for item in "yz"])
    assert fetch(data, out, declared, resume=True)["views"] == 2
    (out / "metrics.json").write_text("{}")
    write_csv(data, COLUMNS, [view("ann", "x", NOON)])
    with pytest.raises(InputError, match=r"these files differ: v\.csv"):
        fetch(data, out, declared, resume=True)


def test_a_recipe_that_the_mapping_does_not_serve_is_refused_before_there_is_a_folder(tmp_path: Path) -> None:
    declared, recipe = mapping(tmp_path), tmp_path / "r.toml"
    recipe.write_text(RECIPE.format(mapping=declared.name).replace('name = "item"', 'name = "author"'))
    done = easq("replay", "--recipe", recipe, "--out", tmp_path / "out", "--data", tmp_path / "v.csv")
    assert done.returncode == 2
    assert "features.author (categorical of the candidate) is missing" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_finished_run_is_not_told_as_that_of_changed_data(tmp_path: Path) -> None:
    declared, out = mapping(tmp_path, answer=ANSWER), tmp_path / "out"
    rows = [
        view(f"u{n % 3}", f"v{n % 9}", NOON + n * MINUTE, liked=n % 2, survey=4 if n % 4 == 0 else 1)
        for n in range(90)
    ]
    data = write_csv(tmp_path / "v.csv", COLUMNS, rows)
    recipe = tmp_path / "r.toml"
    recipe.write_text(RECIPE.format(mapping=declared.name))
    words = ("replay", "--recipe", recipe, "--out", out)
    assert (done := easq(*words, "--data", data, "--json")).returncode == 0, done.stderr
    again = easq(*words, "--data", data, "--resume", "--json")
    assert (again.returncode, json.loads(again.stdout)["views"]) == (0, 90)
    write_csv(data, COLUMNS, [dict(row, liked=1 - row["liked"]) for row in rows])
    other = easq(*words, "--data", data, "--resume", "--json")
    assert (other.returncode, "these files differ: v.csv" in other.stderr) == (2, True), other.stderr
    old = easq(*words, "--log", out / "events.log", "--resume", "--json")
    assert (old.returncode, json.loads(old.stdout)["views"]) == (0, 90)
