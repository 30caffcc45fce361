"""Recipes of arms: files that say what an arm's model has otherwise than the running system."""

from pathlib import Path

import msgspec

from easq.errors import SettingsError
from easq.recipe.read import decode_recipe, lay_over, read_data, to_data
from easq.recipe.recipe import Recipe

OWN = ("name", "seed", "order", "model", "method", "answers", "training", "live")
"""Tables that an arm may have of its own. All others decide what is logged and shown, which all share."""


def read_arm(path: Path, running: Recipe) -> Recipe:
    """Return an arm's recipe: that of the running system, changed by the tables in the file at `path`.

    Keys that the file leaves out are as in the running recipe. Raises SettingsError, naming the key.
    """
    shared = to_data(msgspec.structs.replace(running, experiments=()))
    lay_over(shared, read_data(path, running.method.reader, kind=running.method.kind))
    recipe = decode_recipe(shared, running.method.reader)
    differing = [
        name
        for name in Recipe.__struct_fields__
        if name not in (*OWN, "experiments") and getattr(recipe, name) != getattr(running, name)
    ]
    if differing or recipe.experiments:
        found = ", ".join([*differing, *(["experiments"] if recipe.experiments else [])])
        raise SettingsError(
            f"{path}: an arm shares the log and the questionnaire of the system that it runs in; these "
            f"differ from its recipe: {found}. Allowed: {', '.join(OWN)}"
        )
    return recipe
