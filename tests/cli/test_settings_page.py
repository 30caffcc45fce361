"""The reference of all settings: every key has a meaning, and the page is what the types say today."""

import tomllib
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

from easq.cli import settings_page
from easq.cli.recipe import recipe
from easq.cli.settings_page import Section, page, sections, undocumented
from easq.errors import InputError
from easq.model.method import methods, read_method
from easq.recipe.meanings import documented
from easq.recipe.packaged import packaged_names, packaged_text
from easq.recipe.read import read_recipe, to_data
from easq.recipe.values import Share, Strict
from tests.support.paths import DOCS, RECIPES

SECTIONS = list(sections())


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.heading)
def test_every_setting_has_a_meaning(section: Section) -> None:
    assert not undocumented(section.kind)


def test_the_page_is_up_to_date() -> None:
    assert (DOCS / "settings.md").read_text() == page(), "make settings writes docs/settings.md anew"


def keys_of(data: Any) -> Iterator[str]:
    """Yield the keys of plain data, those of tables inside it too."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield key
            yield from keys_of(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from keys_of(value)


@pytest.mark.parametrize("name", packaged_names())
def test_every_key_of_a_packaged_recipe_is_on_the_page(name: str) -> None:
    data, text = to_data(read_recipe(RECIPES / f"{name}.toml", methods=read_method)), page()
    # The kind of a feature or a method stands in the heading.
    assert not [key for key in keys_of(data) if key != "kind" and f"| `{key}` |" not in text]


def test_every_key_of_the_example_of_a_mapping_is_on_the_page() -> None:
    mapping = tomllib.loads(packaged_text("table_mapping"))
    of_mappings = page().partition("## A mapping")[2]
    rows = [mapping["columns"], *mapping["features"], *mapping["behaviors"], *mapping["histories"]]
    assert all(f"| `{key}` |" in of_mappings for row in [mapping, *rows] for key in row)


def test_every_method_has_a_table() -> None:
    text = page()
    assert all(f'## [method] kind = "{kind}"\n' in text for kind in methods())


class Sized(Strict, frozen=True):
    """A table of a test.

    share, part   two keys
                  on two lines.
    wait          how long [minutes].
    """

    share: Share
    part: Annotated[int, Meta(ge=1)] | None = None
    wait: float = 12_000.0
    kind: Literal["a", "b"] = "a"


def test_docstrings_give_meanings_and_units_and_what_lacks_one_is_refused() -> None:
    known = documented(Sized)
    assert known.summary == "A table of a test."
    assert known.meanings["part"] == known.meanings["share"] == ("two keys on two lines.", "")
    assert known.meanings["wait"] == ("how long.", "minutes")
    assert undocumented(Sized) == ["kind"]
    with pytest.raises(ValueError, match="Sized has no meaning in its docstring for kind"):
        settings_page._section(Section("[sized]", Sized))


class Whole(Sized, frozen=True):
    """All of it.

    kind   a or b.
    """


def test_a_table_shows_type_range_default_and_unit() -> None:
    rows = settings_page._section(Section("[whole]", Whole)).splitlines()
    assert rows[:3] == ["## [whole]", "", "All of it."]
    assert rows[6:] == [
        "| `share` | number | from 0 to 1 | **required** | share | two keys on two lines. |",
        "| `part` | integer | from 1 | none |  | two keys on two lines. |",
        "| `wait` | number |  | `12_000.0` | minutes | how long. |",
        '| `kind` | text | `"a"`, `"b"` | `"a"` |  | a or b. |',
    ]


def test_the_command_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    recipe(settings=True)
    assert capsys.readouterr().out == page()
    with pytest.raises(InputError, match="--settings goes without NAME"):
        recipe("world", settings=True)
