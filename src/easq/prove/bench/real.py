"""Run methods on the real logs of a plan, and write one result file for each log and share of answers."""

import hashlib
import json
import warnings
from collections.abc import Callable, Collection
from math import isnan
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from easq.errors import InputError
from easq.home.files import replace_file
from easq.log.events import EVENTS
from easq.log.sqlite import SqliteLog
from easq.model.method import read_method
from easq.prove.bench.bound import BASE
from easq.prove.bench.linear import LINEAR
from easq.prove.bench.own_score import Comparison, against_of, compare
from easq.prove.bench.plan import OwnLog, Real
from easq.prove.bench.real_pass import BEHAVIOR, METRICS, MethodScores, run_real
from easq.prove.bench.row_store import digest
from easq.prove.bench.runner import Bench
from easq.prove.offline.tally import Interval, Tally
from easq.recipe.packaged import located
from easq.recipe.read import SettingsWarning, read_recipe, to_toml
from easq.recipe.recipe import Recipe

OWN = "own"
"""The name of a user's own log in results."""
_FORM = 2
"""Of what is run: another one runs all logs again. Since 2 the first parameters differ by seed too."""
Watch = Callable[[str, int], Callable[[int, int], None]]
_METRICS = (*METRICS, BEHAVIOR)
_READ = 4096

Bounds = tuple[float | None, float | None, float | None]
"""A value, and the low and the high end of its interval; None where nothing was counted."""


class RealMethod(Struct, frozen=True):
    """One method on a real log: answers learned and held back per seed, metrics, and gains.

    Gains are over the platform's own score or, without one, over the first method.
    """

    learned: int
    held: int
    metrics: dict[str, Bounds]
    gain: dict[str, Bounds]


class RealResult(Struct, frozen=True):
    """All methods on one real log, learning the share `kept` of its answers; `key` names its settings.

    `against` is what gains are over. `comparison` is there for a log of one's own, if both of its sides ran.
    """

    key: str
    log: str
    kept: float
    seeds: list[int]
    methods: dict[str, RealMethod]
    against: str = ""
    comparison: Comparison | None = None


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


def import_own(bench: Bench, table: Path, mapping: Path, watch: Watch) -> tuple[Path, dict[str, Any] | None]:
    """Import a table into the bench's folder; return its log, and the counts of the import.

    A table and a mapping of the content that was imported before are not imported again: then there are no
    counts. Raises InputError for a table that cannot be read, and for a mapping that lacks what the recipe
    reads.
    """
    from easq.sources.datasets.fingerprint import fingerprint
    from easq.sources.datasets.mapping_fit import check_fit
    from easq.sources.datasets.whole_import import import_whole

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SettingsWarning)  # the run reads the recipe again, and warns
        recipe = read_recipe(bench.recipe, methods=read_method)
    check_fit(recipe, mapping)
    folder = bench.out / "real"
    folder.mkdir(parents=True, exist_ok=True)
    log, note = folder / f"{OWN}.log", folder / f"{OWN}.data.json"
    found = fingerprint(table, mapping)
    if log.exists() and note.exists() and json.loads(note.read_text()) == found:
        return log, None
    progress = watch(f"import {table.name}", 1)
    return log, import_whole("table", table, log, mapping, note, lambda _: found, progress)


def _limited(wanted: OwnLog, methods: Collection[str]) -> OwnLog:
    chosen = tuple(m for m in wanted.methods if not methods or m in methods)
    if not set(chosen) - set(LINEAR):
        raise InputError(
            f"--method: got {', '.join(methods)}; allowed for this log, with one that is not linear: "
            f"{', '.join(wanted.methods)}"
        )
    return msgspec.structs.replace(wanted, methods=chosen)


def _run_log(bench: Bench, name: str, wanted: OwnLog, recipe: Path, log_path: Path, watch: Watch) -> None:
    folder, is_own = bench.out / "real", name == OWN
    folder.mkdir(parents=True, exist_ok=True)
    recipes, own = _recipes(bench, recipe, wanted)
    linear = wanted.linear if set(wanted.methods) & set(LINEAR) else None
    for kept in wanted.kept:
        with SqliteLog(log_path) as whole:
            ends = whole.end_offsets(EVENTS)
            # An own log may be another one the next time, of as many events.
            content = _content(whole, ends) if is_own else ""
            held = [_FORM, name, kept, wanted.seeds, linear, ends, content, own]
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
            _methods(scores, wanted, own),
            against_of(scores, own).name,
            compare(scores, own) if is_own else None,
        )
        replace_file(path, json.dumps(msgspec.to_builtins(result), indent=1) + "\n", durable=False)


def _content(log: SqliteLog, ends: list[int]) -> str:
    """Return a digest of all events of a log, which is read once for it."""
    found = hashlib.blake2b(digest_size=16)
    for partition, (first, end) in enumerate(zip(log.start_offsets(EVENTS), ends, strict=True)):
        for start in range(first, end, _READ):
            for event in log.read_encoded(EVENTS, partition, start, min(_READ, end - start)):
                found.update(event)
    return found.hexdigest()


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


def _recipes(bench: Bench, base: Path, wanted: OwnLog) -> tuple[dict[str, Recipe], str | None]:
    """Return the recipe of each method, and the feature that is the platform's own score, if there is one.

    Beside such a score `behavior` is the behavior model alone: as a recipe it would serve the score itself.
    """
    common = wanted.set if isinstance(wanted, Real) else ()
    recipes = {
        m: read_recipe(base, common, [bench.overlay_of(m)], read_method)
        for m in wanted.methods
        if m not in LINEAR
    }
    own = next((r.reference.feature for r in recipes.values() if r.reference), None)
    if BASE in recipes:
        recipes[BASE] = msgspec.structs.replace(recipes[BASE], reference=None)
    return recipes, own


def _methods(scores: dict[str, MethodScores], wanted: OwnLog, own: str | None) -> dict[str, RealMethod]:
    num_seeds, against = len(wanted.seeds), against_of(scores, own)
    first = next(iter(scores.values()))

    def gains(tally: Tally, prefix: str, metrics: Collection[str]) -> dict[str, Bounds]:
        return {
            m: _bounds(tally.difference(against.tally, f"{prefix}{m}", f"{against.prefix}{m}"))
            for m in metrics
        }

    methods = {}
    for method, scored in scores.items():
        intervals = scored.tally.intervals()
        metrics = {m: _bounds(intervals[m]) for m in _METRICS if m in intervals}
        gain = {} if method == against.name else gains(scored.tally, "", metrics)
        methods[method] = RealMethod(scored.learned // num_seeds, scored.held // num_seeds, metrics, gain)
    intervals = first.tally.intervals()
    names = ("popularity", "random", *(() if own is None else (own,)))
    for reference in (*names, *(m for m in LINEAR if m in wanted.methods)):
        metrics = {m: _bounds(intervals[n]) for m in _METRICS if (n := f"{reference}/{m}") in intervals}
        if not metrics:
            continue
        gain = {} if reference in names else gains(first.tally, f"{reference}/", metrics)
        learned = first.learned // num_seeds if reference in ("linear_ridge", "linear_answers") else 0
        methods[reference] = RealMethod(learned, first.held // num_seeds, metrics, gain)
    return methods


def _bounds(interval: Interval) -> Bounds:
    value, low, high = (None if isnan(x) else float(x) for x in interval)
    return value, low, high
