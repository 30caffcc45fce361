"""What the benchmarks share: a world's log, and how they print."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from easq.log.sqlite import SqliteLog
from easq.model.method import read_method
from easq.recipe.read import read_recipe
from easq.sources.world.recording import record
from easq.sources.world.simulate import AskRates, World

RECIPE = Path(__file__).parent.parent / "recipes" / "world.toml"
RATES = AskRates(ask=0.05, answer=0.1)
DEFAULT = read_recipe(RECIPE, methods=read_method)


def make_world(path: Path, views: int, seed: int = 1) -> None:
    """Write a world's log with `views` views at `path`."""
    with SqliteLog(path) as log:
        record(World(seed, RATES), views, log, path.with_suffix(".truth"), lambda _: None)


def show(result: Mapping[str, Any], as_json: bool, table: Callable[[], str]) -> None:
    """Print the result as one JSON object, or as text to read."""
    sys.stdout.write((json.dumps(result) if as_json else table()) + "\n")
