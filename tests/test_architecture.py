"""ARCHITECTURE.md and CONTRIBUTING.md speak of the house as it is."""

import re
import tomllib

import pytest

from tests.support.paths import ROOT

PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md", "docs/add_a_method.md", "docs/paper_index.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_folder_that_is_named_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    paths = re.findall(r"`((?:[a-z_]+/)+[a-z_]*(?:\.[a-z]+)?)`", text)
    assert paths
    for path in paths:
        places = (ROOT / path, ROOT / "src" / "easq" / path)
        assert any(place.exists() for place in places) or "bonus" in path, f"{page} names {path}"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target).exists(), f"{page} links {target}"


def test_the_floors_are_those_that_imports_are_held_to() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| \d \| (.*) \|$", text, re.MULTILINE)
    drawn = [set(re.findall(r"\]\(src/easq/([a-z]+)(?:\.py)?\)", row)) for row in rows]
    # The ground floor is drawn as one: log and errors stand on arrays.
    held = [set(layer.replace("|", " ").split()) for layer in layers]
    assert drawn == [*held[:-2], held[-2] | held[-1]]
