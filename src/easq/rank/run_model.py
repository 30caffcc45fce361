"""The model that a finished replay leaves in its folder."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from easq.errors import InputError
from easq.home.snapshots import load_parameters
from easq.model.method import read_method
from easq.rank.parameters import Parameters
from easq.recipe.read import read_kept_recipe
from easq.recipe.recipe import Recipe


class RunModel(NamedTuple):
    """Parameters of a replay. `digest` tells them from others; `newest_ms` is 0 where it is unknown."""

    recipe: Recipe
    parameters: Parameters
    digest: str
    newest_ms: int


def read_run(run: Path) -> RunModel:
    """Return the model of a finished replay.

    Raises InputError if the folder holds none that can be served.
    """
    settings, path = run / "settings.toml", run / "parameters.safetensors"
    if not settings.is_file() or not path.is_file():
        raise InputError(f"--run: {run} holds no parameters; is it the folder of a finished replay?")
    recipe = read_kept_recipe(settings, read_method)
    parameters, state = Parameters(recipe), load_parameters(path)
    if why := parameters.refuses_version(state):
        raise InputError(f"--run: the parameters of {run} cannot be served: {why}")
    parameters.replace(0, state)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return RunModel(recipe, parameters, digest, _newest_ms(run / "run.json"))


def _newest_ms(path: Path) -> int:
    try:
        return int(json.loads(path.read_text()).get("newest_ms", 0))
    except (OSError, ValueError, AttributeError, TypeError):  # a note beside the model, which stands without
        return 0
