"""kind = "auto": the recommended method, which a home then holds by its name."""

from pathlib import Path

import pytest

from easq.errors import SettingsError
from easq.model.method import read_method
from easq.model.methods.probe import ProbeSettings
from easq.recipe.read import read_recipe, to_toml
from tests.support.paths import RECIPES


def written(folder: Path, method: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(f'extends = "{RECIPES / "world.toml"}"\n[method]\nkind = "auto"\n{method}')
    return path


def test_auto_becomes_the_recommended_method(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, "behavior_budget = 0.02\n"), methods=read_method)
    assert isinstance(recipe.method, ProbeSettings)
    assert recipe.method.behavior_budget == 0.02
    assert 'kind = "probe"' in to_toml(recipe)


def test_what_the_method_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"method\.expected_answers: unknown key; allowed: "):
        read_recipe(written(tmp_path, "expected_answers = 50_000\n"), methods=read_method)
