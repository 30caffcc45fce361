"""Run methods on the real logs of a plan, and write one result file for each log and share of answers."""

import json
from collections.abc import Callable, Collection
from math import isnan
from pathlib import Path

import msgspec
from msgspec import Struct

from easq.errors import InputError
from easq.home.files import replace_file
from easq.log.events import EVENTS
from easq.log.sqlite import SqliteLog
from easq.model.method import read_method
from easq.prove.bench.linear import LINEAR
from easq.prove.bench.plan import OwnLog, Real
from easq.prove.bench.real_pass import BEHAVIOR, METRICS, MethodScores, run_real
from easq.prove.bench.row_store import digest
from easq.prove.bench.runner import Bench
from easq.prove.offline.tally import Interval
from easq.recipe.features import Reference
from easq.recipe.packaged import located
from easq.recipe.read import read_recipe, to_toml
from easq.recipe.recipe import Recipe

OWN = "own"
"""The name of a user's own log in results."""
Watch = Callable[[str, int], Callable[[int, int], None]]
_METRICS = (*METRICS, BEHAVIOR)

Bounds = tuple[float | None, float | None, float | None]
"""A value, and the low and the high end of its interval; None where nothing was counted."""


class RealMethod(Struct, frozen=True):
    """One method on a real log: answers learned and held back per seed, metrics, and gains over the first."""

    learned: int
    held: int
    metrics: dict[str, Bounds]
    gain: dict[str, Bounds]


class RealResult(Struct, frozen=True):
    """All methods on one real log, learning the share `kept` of its answers; `key` names its settings."""

    key: str
    log: str
    kept: float
    seeds: list[int]
    methods: dict[str, RealMethod]


def run(
    bench: Bench, plans: Path, name: str, data: Path, watch: Watch, methods: Collection[str] = ()
) -> None:
    """Run what is missing on one real log; `plans` is the folder in which the plan stands.

    `methods` limits what runs to these.
    """
    from easq.sources.datasets import load

    real, folder = bench.plan.real[name], bench.out / "real"
    folder.mkdir(parents=True, exist_ok=True)
    log_path = folder / f"{name}.log"
    if not log_path.exists():
        part = folder / f"{name}.part.log"
        part.unlink(missing_ok=True)
        load(real.loader, data, part, on_progress=watch(f"import {name}", 1))
        part.replace(log_path)
    _run_log(bench, name, _limited(real, methods), located(Path(real.recipe), plans), log_path, watch)


def run_own(bench: Bench, log: Path, watch: Watch, methods: Collection[str] = ()) -> None:
    """Run what is missing on a user's own log, with the bench's recipe.

    Raises InputError if the plan does not say what to do, or if there is no such log.
    """
    if bench.plan.own is None:
        raise InputError("the plan has no table [own], which says what is done with a log of your own")
    if not log.is_file():
        raise InputError(f"--log: there is no log at {log}; easq import makes one")
    _run_log(bench, OWN, _limited(bench.plan.own, methods), bench.recipe, log, watch)


def _limited(wanted: OwnLog, methods: Collection[str]) -> OwnLog:
    chosen = tuple(m for m in wanted.methods if not methods or m in methods)
    if not set(chosen) - set(LINEAR):
        raise InputError(
            f"--method: got {', '.join(methods)}; allowed for this log, with one that is not linear: "
            f"{', '.join(wanted.methods)}"
        )
    return msgspec.structs.replace(wanted, methods=chosen)


def _run_log(bench: Bench, name: str, wanted: OwnLog, recipe: Path, log_path: Path, watch: Watch) -> None:
    folder = bench.out / "real"
    folder.mkdir(parents=True, exist_ok=True)
    recipes = _recipes(bench, recipe, wanted)
    linear = wanted.linear if set(wanted.methods) & set(LINEAR) else None
    for kept in wanted.kept:
        with SqliteLog(log_path) as whole:
            held = [name, kept, wanted.seeds, linear, whole.end_offsets(EVENTS)]
            key = digest(*held, [to_toml(of_method) for of_method in recipes.values()])
            path = folder / f"{name}-{kept:g}.json"
            if path.exists() and _read(path).key == key:
                continue
            progress = watch(f"{name}, {kept:.0%} of answers", 1)
            scores = run_real(recipes, whole, kept, wanted.seeds, progress, linear)
        result = RealResult(
            key,
            name,
            kept,
            list(wanted.seeds),
            _methods(scores, wanted, next(iter(recipes.values())).reference),
        )
        replace_file(path, json.dumps(msgspec.to_builtins(result), indent=1) + "\n", durable=False)


def results(bench: Bench) -> list[RealResult]:
    """Return all results that are there, in the order of the plan."""
    paths = [
        bench.out / "real" / f"{name}-{kept:g}.json" for name, real in _logs(bench) for kept in real.kept
    ]
    return [_read(path) for path in paths if path.exists()]


def _read(path: Path) -> RealResult:
    return msgspec.json.decode(path.read_bytes(), type=RealResult)


def _logs(bench: Bench) -> list[tuple[str, OwnLog]]:
    own = [] if bench.plan.own is None else [(OWN, bench.plan.own)]
    return [*bench.plan.real.items(), *own]


def _recipes(bench: Bench, base: Path, wanted: OwnLog) -> dict[str, Recipe]:
    common = wanted.set if isinstance(wanted, Real) else ()
    return {
        m: read_recipe(base, common, [bench.overlay_of(m)], read_method)
        for m in wanted.methods
        if m not in LINEAR
    }


def _methods(scores: dict[str, MethodScores], wanted: OwnLog, own: Reference | None) -> dict[str, RealMethod]:
    num_seeds = len(wanted.seeds)
    against = next(iter(scores.values()))
    methods = {}
    for method, scored in scores.items():
        intervals = scored.tally.intervals()
        metrics = {m: _bounds(intervals[m]) for m in _METRICS if m in intervals}
        gain = {} if scored is against else {
            m: _bounds(scored.tally.difference(against.tally, m)) for m in metrics
        }  # fmt: skip
        methods[method] = RealMethod(scored.learned // num_seeds, scored.held // num_seeds, metrics, gain)
    intervals = against.tally.intervals()
    names = ("popularity", "random", *(() if own is None else (own.feature,)))
    for reference in (*names, *(m for m in LINEAR if m in wanted.methods)):
        metrics = {m: _bounds(intervals[n]) for m in _METRICS if (n := f"{reference}/{m}") in intervals}
        if not metrics:
            continue
        tally, is_simple = against.tally, reference not in LINEAR
        gain = {} if is_simple else {
            m: _bounds(tally.difference(tally, f"{reference}/{m}", m)) for m in metrics
        }  # fmt: skip
        learned = against.learned // num_seeds if reference in ("linear_ridge", "linear_answers") else 0
        methods[reference] = RealMethod(learned, against.held // num_seeds, metrics, gain)
    return methods


def _bounds(interval: Interval) -> Bounds:
    value, low, high = (None if isnan(x) else float(x) for x in interval)
    return value, low, high
