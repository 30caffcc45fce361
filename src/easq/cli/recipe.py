"""The command that lists the recipes of the package and prints one, to begin with."""

import sys
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from easq.cli.shared import Json, app, console, show
from easq.errors import InputError
from easq.recipe.packaged import (
    PACKAGED,
    all_packaged_names,
    mapping_of,
    packaged_names,
    packaged_text,
    summary_of,
)


@app.command
def recipe(
    name: str | None = None,
    *,
    mapping: Annotated[bool, Parameter(negative="")] = False,
    whole: Annotated[bool, Parameter(negative="")] = False,
    settings: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
) -> None:
    """List the recipes that come with easq, or print one: easq recipe recommended > my.toml.

    Wherever a recipe is asked for, its name will do: --recipe recommended, or extends = "recommended" in a
    recipe of yours. A file of that name goes first.

    Parameters
    ----------
    name
        What to print, as it stands and with its comments. It works in any folder.
    mapping
        Print the recipe's mapping instead: which column of a table is what.
    whole
        Print the recipe with what it extends and every default, without comments.
    settings
        Print every key of recipes, methods and mappings with its meaning, as docs/settings.md has them.
    """
    if settings:
        from easq.cli.settings_page import page

        if name or mapping or whole:
            raise InputError("--settings goes without NAME, --mapping and --whole")
        show({"text": page()}, as_json, lambda: _write(page()))
        return
    if name is None:
        if mapping or whole:
            raise InputError(f"--mapping and --whole need a name; allowed: {', '.join(packaged_names())}")
        names = {each: summary_of(each) for each in packaged_names()}
        show({"recipes": names, "all": all_packaged_names()}, as_json, lambda: _print_list(names))
        return
    text = _text(name, mapping, whole)
    show({"name": name, "text": text}, as_json, lambda: _write(text))


def _text(name: str, mapping: bool, whole: bool) -> str:
    recipes = ", ".join(packaged_names())
    if name not in all_packaged_names():
        raise InputError(f"NAME: got {name!r}; allowed: {recipes}, {_parts()}")
    if mapping and whole:
        raise InputError("give either --mapping or --whole")
    if whole and name not in packaged_names():
        raise InputError(f"--whole: {name} is no whole recipe; allowed: {recipes}")
    if not mapping:
        return _whole(name) if whole else packaged_text(name)
    wanted = mapping_of(name)
    if wanted is None:
        readers = ", ".join(each for each in packaged_names() if mapping_of(each))
        raise InputError(f"--mapping: {name} reads no mapping; allowed with: {readers}")
    return packaged_text(wanted)


def _whole(name: str) -> str:
    from easq.model.method import read_method
    from easq.recipe.read import read_recipe, to_toml

    text = to_toml(read_recipe(PACKAGED / f"{name}.toml", methods=read_method))
    # An arm's recipe is read as a path on this machine; its name works on any.
    for part in all_packaged_names():
        text = text.replace(str(PACKAGED / f"{part}.toml"), part)
    return text


def _print_list(names: dict[str, str]) -> None:
    table = Table("recipe", "what it is")
    for name, summary in names.items():
        table.add_row(name, summary)
    console.print(table)
    console.print(f"`easq recipe NAME` prints one. What else can be printed: {_parts()}", highlight=False)


def _parts() -> str:
    """Return the names of what is no whole recipe, those of one folder together."""
    folders: dict[str, list[str]] = {}
    for name in sorted(set(all_packaged_names()) - set(packaged_names())):
        folder, slash, last = name.rpartition("/")
        folders.setdefault(folder + slash, []).append(last)
    return ", ".join(
        folder + (names[0] if len(names) == 1 else f"{{{','.join(names)}}}")
        for folder, names in folders.items()
    )


def _write(text: str) -> None:
    """Print a file verbatim: rich would break its lines."""
    sys.stdout.write(text)
