"""What a recipe or an override must never do: end in a traceback, or set something else than was meant."""

from pathlib import Path

import pytest

from easq.errors import SettingsError
from easq.model.method import read_method
from easq.recipe.read import read_kept_recipe, read_recipe
from tests.support.paths import ROOT

BASE = f'extends = "{ROOT / "recipes" / "world.toml"}"\n'


def refused(folder: Path, text: str, *overrides: str) -> str:
    path = folder / "recipe.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        read_recipe(path, overrides, methods=read_method)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("[method]\nkind = []\n", (), "method.kind: got []"),
        ("[method]\nkind = {}\n", (), "method.kind: got {}"),
        ("", ("method.kind=[1]",), "method.kind: got [1]"),
        ("[[method]]\nkind = 'easq'\n", ("model.dim=4",), "method: got [{'kind': 'easq'}]; allowed: a table"),
        ("", ("method=5", "model.dim=4"), "method: got 5; allowed: a table"),
        ("alignment = 5\n", (), "this is of easq 0.1"),
        ("baselines = []\n", (), "this is of easq 0.1"),
        ("", ("model.dim=4\nseed=7",), "allowed: one value"),
        ("", ("seed=" + "9" * 5000,), "--set seed"),
        ("", ("seed=" + "[" * 5000,), "--set seed"),
        ("", ("method.kind=easq", "method.dpo_weight=1e300"), "method.dpo_weight: got 1e+300"),
        ("[ask]\norigins = ['https://tv.*']\n", (), "ask.origins.0: got 'https://tv.*'"),
        ("", ("features.7.rows=4",), "no entry is named '7'"),
    ],
)
def test_a_value_of_the_wrong_kind_is_a_message(
    tmp_path: Path, text: str, overrides: tuple[str, ...], message: str
) -> None:
    assert message in refused(tmp_path, BASE + text, *overrides)


@pytest.mark.parametrize("base", ["a" * 5000, "a\\u0000b", ".", "", "missing.toml", "../recipe.toml"])
def test_a_recipe_that_cannot_be_extended_is_a_message(tmp_path: Path, base: str) -> None:
    assert "extends: got" in refused(tmp_path, f'extends = "{base}"\n')


def test_recipes_that_extend_one_another_are_refused(tmp_path: Path) -> None:
    here = tmp_path.name
    (tmp_path / "other.toml").write_text(f'extends = "../{here}/recipe.toml"\n')
    assert "extends this recipe itself" in refused(tmp_path, f'extends = "../{here}/other.toml"\n')


def test_a_chain_of_recipes_has_an_end(tmp_path: Path) -> None:
    for n in range(30):
        (tmp_path / f"r{n}.toml").write_text(f'extends = "r{n + 1}.toml"\n')
    assert "at most 20 recipes" in refused(tmp_path, 'extends = "r0.toml"\n')


@pytest.mark.parametrize("text", ["seed = " + "9" * 5000, "seed = " + "[" * 5000])
def test_a_value_that_no_parser_takes_is_a_message(tmp_path: Path, text: str) -> None:
    assert "is not TOML" in refused(tmp_path, text)


def test_an_override_of_the_kind_goes_before_those_of_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(BASE)
    for overrides in (
        ("method.width=3", "method.kind=behavior"),
        ("method.kind=behavior", "method.width=3"),
    ):
        method = read_recipe(path, overrides, methods=read_method).method
        assert (method.kind, getattr(method, "width", None)) == ("behavior", 3)


def test_the_new_form_of_an_old_part_is_that_of_the_method_it_is_laid_over(tmp_path: Path) -> None:
    base = f'extends = "{ROOT / "recipes" / "recommended.toml"}"\n'
    message = refused(tmp_path, base + "[alignment]\nridge = 3.0\ndpo_weight = 1.0\nzzz = 1\n")
    assert message.endswith('[method]\nkind = "probe"\nridge = 3.0\n')
    assert "leave them out: alignment.dpo_weight, alignment.zzz" in message


def test_what_0_1_took_of_every_method_is_read_from_what_it_kept(tmp_path: Path) -> None:
    path = tmp_path / "identity.toml"
    features = '[[features]]\nname = "item_id"\nkind = "categorical"\nside = "candidate"\nrows = 8\n'
    behaviors = '[[behaviors]]\nname = "like"\nat_least = 1.0\n'
    old = '[model]\nmethod = "mmoe"\n[alignment]\nunasked = "distill"\n'
    path.write_text(f'name = "old"\n{features}{behaviors}{old}')
    method = read_kept_recipe(path, read_method).method
    assert (method.kind, getattr(method, "unasked", None)) == ("mmoe", "none")
