"""Small replays whose models are exported."""

from pathlib import Path

import msgspec
from stack import RECIPE, make_stack, stack_recipe

from easq.log.sqlite import SqliteLog
from easq.prove.offline.replay import replay
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
    recipe = stack_recipe("training.threads=1", "evaluation.replicates=20", chances=chances)
    if not reference:
        recipe = msgspec.structs.replace(recipe, reference=None)
    make_stack(num_views, seed=1).write_parquet(table)
    load("table", table, path, mapping=RECIPE.with_name("stack_mapping.toml"), on_progress=lambda *_: None)
    with SqliteLog(path) as log:
        replay(recipe, log, run)
    return run, path
