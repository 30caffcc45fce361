"""The base against a plain linear learner: worlds of several lengths, real logs, and a log of sums.

    python benchmarks/linear.py --out rows.parquet --worlds 100000 500000 --logs eeg_svrec=FOLDER additive

Rows have the experiment `base`. On logs every answer is learned; a row `METRIC - OTHER` is a paired
difference, and its ends `low` and `high` are those of the 95 % interval over viewers. On worlds the last half
is measured.
"""

import argparse
import tempfile
import time
from pathlib import Path

import polars as pl
from additive import make_additive

from easq.log.sqlite import SqliteLog
from easq.model.method import read_method
from easq.prove.bench.linear import LINEAR, LinearSettings
from easq.prove.bench.log_pass import LogMetrics, run_log
from easq.prove.bench.plan import REFERENCES, BenchArm, BenchWorld, Cell, read_plan
from easq.prove.bench.world_pass import Sitting, run_pass
from easq.recipe.read import read_recipe
from easq.recipe.recipe import Recipe
from easq.sources.datasets import load

RECIPES = Path(__file__).parent.parent / "recipes"
METHODS = ("behavior", "probe", "behavior_2026_11", "probe_2026_11")
ON_LOGS = (*METHODS, "probe_no_answers", "easq_buffer")
AGAINST = {"behavior": ("linear",), "probe": ("linear_ridge", "linear_answers", "probe_2026_11")}
WORLD_METRICS = ("true_sat@3", "behavior@3", "pair_accuracy", "sat/auc", "answers")
Row = dict[str, str | int | float]


def main() -> None:
    """Run what is asked for, and write the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--worlds", type=int, nargs="*", default=[], help="views of each world")
    parser.add_argument("--scenario", default="main")
    parser.add_argument("--answers", type=float, default=0.0024, help="a view, of worlds")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument(
        "--linear-seeds", type=int, default=100, help="of the seeds, how many for the linear learner"
    )
    parser.add_argument("--logs", nargs="*", default=[], help="NAME=FOLDER of a real log, or additive")
    options = parser.parse_args()
    rows: list[Row] = []
    for views in options.worlds:
        for number, seed in enumerate(options.seeds):
            with_linear = number < options.linear_seeds
            rows += world_rows(options.scenario, views, options.answers, seed, with_linear)
    for log in options.logs:
        rows += log_rows(log, options.seeds)
    pl.DataFrame(rows).write_parquet(options.out, compression="zstd")


def world_rows(scenario: str, views: int, answers: float, seed: int, with_linear: bool) -> list[Row]:
    """Return the rows of one world."""
    place = BenchWorld(scenario, answers, 1.0, views)
    references = [name for name in REFERENCES if with_linear or name not in LINEAR]
    cells = [(Cell(BenchArm(m, m), place, seed), world_recipe(m, seed)) for m in (*METHODS, *references)]
    started = time.monotonic()
    plan = read_plan(RECIPES / "bench" / "plan.toml")
    found = run_pass(cells, Sitting(plan.candidates, plan.measured_share, plan.linear))
    name = f"{scenario}_{views // 1000}k" if views < 1_000_000 else f"{scenario}_{views // 1_000_000}m"
    print(f"{name}, seed {seed}: {time.monotonic() - started:.0f} s", flush=True)
    for (cell, _), values in zip(cells, found, strict=True):
        shown = " ".join(f"{m} {values[m]:.4f}" for m in WORLD_METRICS if m in values)
        print(f"  {cell.arm.name:18s} {shown}", flush=True)
    return [
        row(cell.arm.name, name, seed, metric, values[metric])
        for (cell, _), values in zip(cells, found, strict=True)
        for metric in WORLD_METRICS
        if metric in values
    ]


def world_recipe(method: str, seed: int) -> Recipe:
    """Return the recipe of a method on worlds."""
    overlays = [] if method in REFERENCES else [RECIPES / "bench" / "methods" / f"{method}.toml"]
    return read_recipe(RECIPES / "world.toml", [f"seed={seed}"], overlays, read_method)


def log_rows(argument: str, seeds: list[int]) -> list[Row]:
    """Return the rows of one log, a seed of the parameters after another."""
    name, _, folder = argument.partition("=")
    base = RECIPES / f"{name}.toml" if folder else Path(__file__).with_name("additive.toml")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "events.log"
        recipe = read_recipe(base, methods=read_method)
        assert recipe.data is not None
        if not folder:
            folder = str(Path(scratch) / "additive.parquet")
            make_additive(300_000).write_parquet(folder)
        mapping = base.parent / recipe.data.mapping if recipe.data.mapping else None
        load(recipe.data.loader, Path(folder), path, mapping=mapping, on_progress=lambda *_: None)
        with SqliteLog(path) as log:
            for seed in seeds:
                methods = [RECIPES / "bench" / "methods" / f"{method}.toml" for method in ON_LOGS]
                recipes = {m.stem: read_recipe(base, [f"seed={seed}"], [m], read_method) for m in methods}
                metrics = run_log(recipes, log, LinearSettings() if seed == seeds[0] else None)
                rows += seed_rows(metrics, name, seed)
    return rows


def seed_rows(metrics: LogMetrics, name: str, seed: int) -> list[Row]:
    """Return the metrics of one run, and the paired differences of it."""
    tally, rows = metrics.tally, list[Row]()
    for (method, metric), stored in metrics.name_of.items():
        rows.append(row(method, name, seed, metric, tally.interval(stored).value))
        print(f"  {name} seed {seed} {method:18s} {metric:22s} {rows[-1]['value']:.4f}", flush=True)
        for other in AGAINST.get(method, ()):
            if theirs := metrics.name_of.get((other, metric)):
                gain = tally.difference(tally, stored, theirs)
                for end, value in zip(("", " low", " high"), gain, strict=True):
                    rows.append(row(method, name, seed, f"{metric} - {other}{end}", value))
                print(f"      - {other}: {gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})", flush=True)
    return rows


def row(method: str, scenario: str, seed: int, metric: str, value: float) -> Row:
    """Return one row."""
    return {
        "experiment": "base", "method": method, "scenario": scenario, "seed": seed, "metric": metric, "value":
        value
    }  # fmt: skip


if __name__ == "__main__":
    main()
