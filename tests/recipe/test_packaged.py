"""Packaged recipes are found by name, in any folder, and a file of the user goes first."""

from pathlib import Path

import pytest

from easq.errors import SettingsError
from easq.model.method import read_method
from easq.prove.bench.plan import read_plan
from easq.recipe.packaged import (
    PACKAGED,
    all_packaged_names,
    located,
    mapping_of,
    packaged_names,
    packaged_text,
    summary_of,
)
from easq.recipe.read import read_recipe
from tests.support.paths import RECIPES


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_checkout_has_one_copy() -> None:
    assert RECIPES.is_symlink()
    assert RECIPES.resolve() == PACKAGED


@pytest.mark.parametrize("name", packaged_names())
def test_a_recipe_is_read_by_its_name_as_by_its_path(name: str) -> None:
    by_name = read_recipe(Path(name), methods=read_method)
    assert by_name == read_recipe(RECIPES / f"{name}.toml", methods=read_method)


@pytest.mark.parametrize("name", packaged_names())
def test_a_printed_recipe_reads_the_same_in_any_folder_under_any_name(name: str, tmp_path: Path) -> None:
    wanted = read_recipe(Path(name), methods=read_method)
    for file in ("my.toml", "world.toml", f"{name}.toml"):  # also under the name of what it extends
        (tmp_path / file).write_text(packaged_text(name))
        assert read_recipe(tmp_path / file, methods=read_method) == wanted


def test_a_file_goes_before_a_packaged_recipe_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "world").write_text('extends = "recommended"\nname = "mine"\n')
    assert located(Path("world")) == Path("world")
    # The packaged recommended extends the packaged world, which stands beside no file of the user.
    assert read_recipe(Path("world"), methods=read_method).name == "mine"


def test_a_folder_of_a_recipes_name_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "recommended").mkdir()
    assert located(Path("recommended")) == PACKAGED / "recommended.toml"


def test_an_arm_may_name_a_packaged_overlay(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(packaged_text("loop"))
    arm = read_recipe(tmp_path / "my.toml", methods=read_method).experiments[0].arms[1]
    assert arm.recipe == str(PACKAGED / "arms" / "probe.toml")


@pytest.mark.parametrize("given", ["nothing", "recommended.toml", "../recipes/world", "a" * 5000])
def test_the_error_names_what_was_looked_for_and_the_packaged_names(given: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_recipe(Path(given), methods=read_method)
    message = str(raised.value)
    assert given in message
    if len(given) < 100:  # what can be no path is told by the system's own words
        assert f"packaged recipe: {', '.join(packaged_names())}" in message


def test_an_extends_that_leads_nowhere_names_the_packaged_recipes(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('extends = "wrld"\n')
    with pytest.raises(SettingsError, match=r"extends: got 'wrld'; there is no recipe at .*wrld; .*, world$"):
        read_recipe(tmp_path / "my.toml", methods=read_method)


def test_every_packaged_recipe_says_what_it_is() -> None:
    assert {"recommended", "world", "table", "demo", "paper"} <= set(packaged_names())
    assert all(10 < len(summary_of(name)) < 120 for name in packaged_names())
    assert [name for name in packaged_names() if mapping_of(name)] == ["table"]


def test_a_printed_plan_names_only_recipes_and_methods_that_are_found(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(packaged_text("bench/plan"))
    plan = read_plan(tmp_path / "plan.toml")
    assert plan == read_plan(located(Path("bench/plan")))
    assert plan.real
    assert all(located(Path(real.recipe), tmp_path).is_file() for real in plan.real.values())
    methods = {name.rpartition("/")[2] for name in all_packaged_names() if name.startswith("bench/methods/")}
    assert {"probe", "behavior", "easq"} <= methods
