"""kind = "auto": the method for so many answers, chosen when the recipe is read."""

from pathlib import Path

import pytest

from easq.errors import SettingsError
from easq.model.method import MANY_ANSWERS, read_method
from easq.model.methods.probe import ProbeSettings
from easq.model.methods.satisfaction_tower import SatisfactionTowerSettings
from easq.recipe.read import read_recipe
from tests.support.paths import RECIPES


def written(folder: Path, method: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(f'extends = "{RECIPES / "world.toml"}"\n{method}')
    return path


def problem(folder: Path, method: str) -> str:
    with pytest.raises(SettingsError) as refused:
        read_recipe(written(folder, method), methods=read_method)
    return str(refused.value)


def test_auto_becomes_the_method_for_so_many_answers(tmp_path: Path) -> None:
    def kind(number: int) -> str:
        text = f'[method]\nkind = "auto"\nexpected_answers = {number}\nbehavior_budget = 0.02\n'
        method = read_recipe(written(tmp_path, text), methods=read_method).method
        assert isinstance(method, ProbeSettings | SatisfactionTowerSettings)
        assert method.behavior_budget == 0.02
        return method.kind

    assert (kind(MANY_ANSWERS - 1), kind(MANY_ANSWERS)) == ("probe", "satisfaction_tower")
    auto = '[method]\nkind = "auto"\n'
    assert "method.expected_answers: required, but nothing was given" in problem(tmp_path, auto)
    assert "method.expected_answers: got 0; allowed: a number" in problem(
        tmp_path, auto + "expected_answers = 0"
    )
    assert "method.rank: unknown key" in problem(tmp_path, auto + "expected_answers = 5\nrank = 3")
