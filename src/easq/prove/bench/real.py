"""Run methods on the real logs of a plan, and lay out what they show. One file for each log and share."""

import json
from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Any

from easq.home.files import replace_file
from easq.log.sqlite import SqliteLog
from easq.model.method import read_method
from easq.prove.bench.plan import Real
from easq.prove.bench.real_pass import BEHAVIOR, METRICS, MethodScores, run_real
from easq.prove.bench.row_store import digest
from easq.prove.bench.runner import Bench
from easq.prove.offline.tally import Interval
from easq.recipe.read import read_recipe, to_toml
from easq.recipe.recipe import Recipe

Watch = Callable[[str, int], Callable[[int, int], None]]
_SHOWN = (*METRICS, BEHAVIOR)


def run(bench: Bench, plans: Path, name: str, data: Path, watch: Watch) -> None:
    """Run what is missing on one real log; `plans` is the folder in which the plan stands."""
    from easq.sources.datasets import load

    real, folder = bench.plan.real[name], bench.out / "real"
    folder.mkdir(parents=True, exist_ok=True)
    log_path = folder / f"{name}.log"
    if not log_path.exists():
        part = folder / f"{name}.part.log"
        part.unlink(missing_ok=True)
        load(real.loader, data, part, on_progress=watch(f"import {name}", 1))
        part.replace(log_path)
    for kept in real.kept:
        recipes = _recipes(bench, plans, real)
        key = digest(name, kept, real.seeds, [to_toml(recipe) for recipe in recipes.values()])
        path = folder / f"{name}-{kept:g}.json"
        if path.exists() and json.loads(path.read_text())["key"] == key:
            continue
        with SqliteLog(log_path) as whole:
            found = run_real(recipes, whole, kept, real.seeds, watch(f"{name}, {kept:.0%} of answers", 1))
        result = {
            "key": key,
            "log": name,
            "kept": kept,
            "seeds": real.seeds,
            "methods": _layout(found, len(real.seeds)),
        }
        replace_file(path, json.dumps(result, indent=1) + "\n", durable=False)


def results(bench: Bench) -> list[dict[str, Any]]:
    """Return all results that are there, in the order of the plan."""
    paths = [
        bench.out / "real" / f"{name}-{kept:g}.json"
        for name, real in bench.plan.real.items()
        for kept in real.kept
    ]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def _recipes(bench: Bench, plans: Path, real: Real) -> dict[str, Recipe]:
    base = plans / real.recipe
    return {m: read_recipe(base, (), [bench.methods / f"{m}.toml"], read_method) for m in real.methods}


def _layout(found: dict[str, MethodScores], num_seeds: int) -> dict[str, Any]:
    against = next(iter(found.values()))
    rows: dict[str, Any] = {}
    for method, scored in found.items():
        intervals = scored.tally.intervals()
        rows[method] = {
            "learned": scored.learned // num_seeds,
            "held": scored.held // num_seeds,
            "metrics": {m: _plain(intervals[m]) for m in _SHOWN if m in intervals},
            "gain": {
                m: _plain(scored.tally.difference(against.tally, m))
                for m in _SHOWN
                if m in intervals and scored is not against
            },
        }
    for reference in ("popularity", "random"):
        intervals = against.tally.intervals()
        held = {m: _plain(intervals[n]) for m in _SHOWN if (n := f"{reference}/{m}") in intervals}
        rows[reference] = {"learned": 0, "held": against.held // num_seeds, "metrics": held, "gain": {}}
    return rows


def _plain(interval: Interval) -> list[float | None]:
    return [None if isnan(x) else float(x) for x in interval]
