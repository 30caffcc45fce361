"""The table with which the log of a new live system begins: `easq up --from`."""

from pathlib import Path
from typing import TYPE_CHECKING

from easq.cli.replay import print_import
from easq.cli.shared import console, progress
from easq.errors import InputError
from easq.recipe.packaged import located

if TYPE_CHECKING:  # loaded when the command needs it
    from easq.home.home import Home
    from easq.recipe.recipe import Recipe


def declared_mapping(
    settings: "Recipe | None", recipe: Path | None, history: Path | None, mapping: Path | None
) -> Path | None:
    """Return the mapping of the table with which a home begins, once it is known to fit the recipe."""
    from easq.sources.datasets.mapping_fit import check_fit

    if history is None:
        if mapping is not None:
            raise InputError(f"--mapping: got {mapping}, but only a table reads it; name one with --from")
        return None
    if settings is None:
        raise InputError("--from: a new home needs settings too; give --recipe")
    if mapping is None:
        if settings.data is None or settings.data.mapping is None or recipe is None:
            raise InputError("--from: the table needs a mapping, which says which column is what: --mapping")
        mapping = located(recipe).parent / settings.data.mapping
    check_fit(settings, mapping, is_live=True)
    return mapping


def begin_with_table(system: "Home", table: Path, mapping: Path) -> None:
    """Import the table with which the log of a new home begins."""
    from easq.sources.datasets.home_history import begin_with

    with progress() as watch:
        summary = begin_with(system, table, mapping, watch("import", 1))
    if summary is None:
        console.print(f"{system.folder} begins with {table} already")
    else:
        print_import(summary)
