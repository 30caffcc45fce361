"""Small replays whose models are exported."""

import warnings
from pathlib import Path

from stack import CHANCES, RECIPE, make_stack

from easq.log.sqlite import SqliteLog
from easq.model.method import read_method
from easq.prove.offline.replay import replay
from easq.recipe.read import SettingsWarning, read_recipe
from easq.sources.datasets import load
from easq.sources.world.recording import record
from tests.support.small_worlds import small_recipe, small_world


def world_run(folder: Path, num_views: int, *overrides: str) -> tuple[Path, Path]:
    """Return the folder of a replay of a simulated world, and its log."""
    run, path = folder / "run", folder / "world.log"
    with SqliteLog(path) as log:
        record(small_world(), num_views, log, folder / "truth", lambda _: None)
        replay(small_recipe(*overrides), log, run)
    return run, path


def stack_run(folder: Path, num_views: int, *, chances: bool, reference: bool) -> tuple[Path, Path]:
    """Return the folder of a replay of the made stack of benchmarks/stack.py, and its log."""
    run, path, table = folder / "run", folder / "stack.log", folder / "stack.parquet"
    changes = ["training.threads=1", "evaluation.replicates=20"]
    if chances:
        names = ", ".join(f'"{name}"' for name in CHANCES)
        changes.append(f"method.chances=[{names}]")
    recipe_path = RECIPE
    if not reference:
        recipe_path = folder / "stack.toml"
        recipe_path.write_text(RECIPE.read_text().replace('[reference]\nfeature = "prod_score"\n', ""))
    with warnings.catch_warnings():
        # Without chances nothing reads the team's predictions, which are exported nevertheless.
        warnings.simplefilter("ignore", SettingsWarning)
        recipe = read_recipe(recipe_path, changes, methods=read_method)
    make_stack(num_views, seed=1).write_parquet(table)
    load("table", table, path, mapping=RECIPE.with_name("stack_mapping.toml"), on_progress=lambda *_: None)
    with SqliteLog(path) as log:
        replay(recipe, log, run)
    return run, path
