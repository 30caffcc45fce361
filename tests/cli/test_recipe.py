"""`easq recipe`: what it lists, what it prints, and that what it prints runs where no checkout is."""

import json
from pathlib import Path

import pytest

from easq.cli.commands import app
from easq.errors import InputError
from easq.model.method import read_method
from easq.recipe.packaged import PACKAGED, packaged_names
from easq.recipe.read import read_recipe
from tests.support.small_worlds import SMALL

SETTINGS = [word for change in SMALL for word in ("--set", change)]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def easq(capsys: Capture, *words: object) -> str:
    with pytest.raises(SystemExit) as done:
        app([*map(str, words)])
    assert done.value.code == 0
    return capsys.readouterr().out


def test_it_lists_each_recipe_on_a_line_and_the_parts_below(capsys: Capture) -> None:
    listed = easq(capsys, "recipe")
    assert all(f"│ {name} " in listed for name in packaged_names())
    assert "arms/probe" in listed
    assert "bench/methods/{behavior," in listed
    data = json.loads(easq(capsys, "recipe", "--json"))
    assert list(data["recipes"]) == packaged_names()
    assert "bench/plan" in data["all"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("recommended",), "recommended"),
        (("table", "--mapping"), "table_mapping"),
        (("arms/probe",), "arms/probe"),
        (("bench/methods/ple",), "bench/methods/ple"),
        (("bench/plan",), "bench/plan"),
    ],
)
def test_it_prints_a_file_as_it_stands(words: tuple[str, ...], name: str, capsys: Capture) -> None:
    assert easq(capsys, "recipe", *words) == (PACKAGED / f"{name}.toml").read_text()


def test_a_printed_recipe_runs_as_the_packaged_one_does(tmp_path: Path, capsys: Capture) -> None:
    easq(capsys, "world", "make", "--out", "w.log", "--views", 500)
    (tmp_path / "my.toml").write_text(easq(capsys, "recipe", "recommended"))
    for recipe in ("my.toml", "recommended"):
        easq(capsys, "replay", "--recipe", recipe, "--log", "w.log", "--out", f"of_{recipe}", *SETTINGS)
    metrics = [
        (tmp_path / f"of_{recipe}" / "metrics.json").read_text() for recipe in ("my.toml", "recommended")
    ]
    assert metrics[0] == metrics[1]


@pytest.mark.parametrize("name", packaged_names())
def test_a_whole_recipe_is_the_same_and_names_no_place_of_this_machine(
    name: str, tmp_path: Path, capsys: Capture
) -> None:
    text = easq(capsys, "recipe", name, "--whole")
    assert str(PACKAGED) not in text
    (tmp_path / "whole.toml").write_text(text)
    assert read_recipe(tmp_path / "whole.toml", methods=read_method) == read_recipe(
        Path(name), methods=read_method
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("recipe", "nothing"), "NAME: got 'nothing'; allowed: demo, eeg_svrec"),
        (("recipe", "world", "--mapping"), "world reads no mapping; allowed with: table"),
        (("recipe", "table", "--mapping", "--whole"), "either --mapping or --whole"),
        (("recipe", "bench/plan", "--whole"), "bench/plan is no whole recipe; allowed: demo"),
        (("recipe", "--whole"), "need a name; allowed: demo"),
        (
            ("replay", "--recipe", "earth", "--log", "w", "--out", "o"),
            "there is no recipe at earth; allowed: a file, or",
        ),
        (("demo", "--recipe", "lop"), "there is no recipe at lop; allowed: a file, or"),
        (
            ("up", "--recipe", "recipes/world.toml", "--home", "h"),
            "no recipe at recipes/world.toml; allowed: a",
        ),
        (
            ("bench", "--plan", "plan", "--out", "o"),
            "there is no plan at plan; allowed: a file, or bench/plan",
        ),
        (("bench", "--out", "o", "--size", "tiny"), "--size: got 'tiny'; allowed: smoke"),
        (("replay", "--recipe", "table", "--data", "none.csv", "--out", "o"), "none.csv"),
    ],
)
def test_a_wrong_name_is_a_message_that_says_what_there_is(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError) as raised:
        app([*words], exit_on_error=False)
    assert message in str(raised.value)
