"""Run a plan: passes in sequence or in several processes, each stored as soon as it ends."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec

from easq.errors import InputError
from easq.model.method import read_method
from easq.prove.bench.bound import BASE, BOUNDS
from easq.prove.bench.plan import (
    REFERENCES,
    BenchArm,
    BenchSize,
    Cell,
    Plan,
    cells_of,
    passes,
    scenario_name,
    to_run,
)
from easq.prove.bench.row_store import MetricRow, RowStore, digest
from easq.prove.bench.world_pass import Sitting, refuse_too_many, run_pass
from easq.recipe.packaged import located
from easq.recipe.read import read_recipe
from easq.recipe.recipe import Recipe

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

Progress = Callable[[int, int], None]
"""Called with the views learned and the views in all, each method's counted."""

_DECIDES = (
    "features", "behaviors", "seed", "order", "question", "join", "model", "method", "answers",
    "training",
)  # fmt: skip

_Names = tuple[str, str, int]


@dataclass(frozen=True)
class Bench:
    """A recipe, the methods next to the plan, and the folder of the rows."""

    recipe: Path
    methods: Path
    plan: Plan
    size: BenchSize
    out: Path

    def recipe_of(self, cell: Cell) -> Recipe:
        """Return the settings of a cell. Raises SettingsError for invalid ones."""
        overrides = [*cell.arm.set, f"seed={cell.seed}"]
        # A bound depends on the method that it is measured against.
        method = BASE if cell.arm.method in BOUNDS else cell.arm.method
        if method in REFERENCES:
            return read_recipe(self.recipe, overrides, methods=read_method)
        return read_recipe(self.recipe, overrides, [self.overlay_of(method)], read_method)

    def overlay_of(self, method: str) -> Path:
        """Return the file of a method: the one next to the plan, or else the packaged one."""
        return located(Path(f"{method}.toml"), self.methods, f"bench/methods/{method}")

    @property
    def sitting(self) -> Sitting:
        """Return the settings that all passes share."""
        return Sitting(self.plan.candidates, self.plan.measured_share, self.plan.linear)

    def key(self, cell: Cell, recipe: Recipe) -> str:
        """Return the name of a cell's rows: a digest of everything that determines them."""
        against = self.held_against([cell]).values()
        parts = [_learned(recipe), *(_learned(of_reference) for _, of_reference in against)]
        return digest(*parts, cell.arm, cell.place, self.sitting)

    def held_against(self, cells: Iterable[Cell]) -> dict[str, tuple[Cell, Recipe]]:
        """Return for each method whose price is held against another one the cell and recipe of that one."""
        found = {}
        for cell in cells:
            if reference := self.plan.held_against.get(cell.arm.method):
                of_reference = cell._replace(arm=BenchArm(reference, reference))
                found[cell.arm.method] = of_reference, self.recipe_of(of_reference)
        return found

    def rows(self, experiment: str) -> list[MetricRow]:
        """Return the stored rows of an experiment, in the order of the plan."""
        rows, store = [], RowStore(self.out)
        for cell in cells_of(self.plan.experiments[experiment], self.size):
            key = self.key(cell, self.recipe_of(cell))
            rows += store.get(key) if store.has(key) else []
        return rows

    def adopt(self, rows: Iterable[MetricRow]) -> int:
        """Adopt the rows of an earlier run for the plan's cells; return the number of cells.

        Rows name what was run but not its settings: they must come from the same plan, methods and code.
        Existing cells stay as they are. Raises InputError for rows of a world of another length, which is not
        in their names, and for two values of one metric; then no row is adopted.
        """
        known: dict[_Names, dict[str, MetricRow]] = {}
        for row in rows:
            of_cell = known.setdefault((row["method"], row["scenario"], row["seed"]), {})
            if of_cell.setdefault(row["metric"], row)["value"] != row["value"]:
                raise InputError(
                    f"{_value_text(row)}, which stands there as {of_cell[row['metric']]['value']:,.10g} too"
                )
        cells: dict[_Names, Cell] = {}
        for name in self.size.experiments:
            for cell in cells_of(self.plan.experiments[name], self.size):
                names = cell.arm.name, scenario_name(cell.place, self.size), cell.seed
                if names in known:
                    self._check_length(names, known[names], cell.place.views)
                    cells.setdefault(names, cell)
        store = RowStore(self.out)
        for names, cell in cells.items():
            key = self.key(cell, self.recipe_of(cell))
            if not store.has(key):
                store.put(key, list(known[names].values()))
        return len(cells)

    def _check_length(self, names: _Names, rows: Mapping[str, MetricRow], views: int) -> None:
        wanted = -(-views // self.plan.candidates) * self.plan.candidates  # whole requests
        if "views" in rows:
            if rows["views"]["value"] != wanted:
                raise InputError(f"{_value_text(rows['views'])}; allowed with this plan and size: {wanted:,}")
        elif views == self.size.views:  # otherwise the scenario's name says it
            name, scenario, seed = names
            raise InputError(f"{name}, {scenario}, seed {seed}: views: got none; allowed: {wanted:,}")


def _learned(recipe: Recipe) -> object:
    return msgspec.to_builtins({part: getattr(recipe, part) for part in _DECIDES})


def _value_text(row: MetricRow) -> str:
    names, value = f"{row['method']}, {row['scenario']}, seed {row['seed']}", row["value"]
    return f"{names}: {row['metric']}: got {value:,.10g}"


def run(
    bench: Bench,
    only: Sequence[str] = (),
    methods: Sequence[str] = (),
    workers: int = 1,
    on_progress: Progress = lambda *_: None,
) -> None:
    """Run the missing cells. A later run continues where this one stopped.

    Raises InputError before the first pass if a world gives fewer answers than the plan wants of it.
    """
    store = RowStore(bench.out)
    todo = []
    for cells in passes(bench.plan, bench.size, only, methods):
        recipe_of = {cell: bench.recipe_of(cell) for cell in cells}
        done_cells = {cell for cell, recipe in recipe_of.items() if store.has(bench.key(cell, recipe))}
        missing = to_run(cells, done_cells)
        if missing:
            todo.append([(cell, recipe_of[cell]) for cell in missing])
    refuse_too_many((group[0][0].place for group in todo), bench.plan.candidates)
    total, done = sum(_views(group) for group in todo), 0
    if workers == 1:
        for group in todo:

            def on_views(views: int) -> None:
                nonlocal done
                done += views
                on_progress(done, total)

            _run_group(bench, group, on_views)
        return
    for done in _in_processes(bench, todo, workers):
        on_progress(done, total)


def _views(group: Sequence[tuple[Cell, Recipe]]) -> int:
    return sum(cell.place.views for cell, _ in group if cell.arm.method not in REFERENCES)


def _run_group(bench: Bench, group: Sequence[tuple[Cell, Recipe]], on_views: Callable[[int], None]) -> None:
    started, store = time.monotonic(), RowStore(bench.out)
    against = bench.held_against(cell for cell, _ in group)
    found = run_pass(group, bench.sitting, on_views, against)
    for (cell, recipe), values in zip(group, found, strict=True):
        scenario = scenario_name(cell.place, bench.size)
        rows: list[MetricRow] = [
            {"method": cell.arm.name, "scenario": scenario, "seed": cell.seed, "metric": m, "value": v}
            for m, v in values.items()
        ]
        store.put(bench.key(cell, recipe), rows)
    names = " + ".join(cell.arm.name for cell, _ in group)
    with (bench.out / "times.txt").open("a") as file:
        seconds = time.monotonic() - started
        file.write(f"{seconds:.1f} s: {names}; {group[0][0].place}, seed {group[0][0].seed}\n")


def _in_processes(bench: Bench, todo: Sequence[Sequence[tuple[Cell, Recipe]]], workers: int) -> Iterator[int]:
    """Yield the views learned so far from time to time. Failures in a process are raised here."""
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    with ProcessPoolExecutor(workers, context, _Worker.begin, (bench, counter, os.getpid())) as pool:
        waiting = {pool.submit(_Worker.run_group, group) for group in todo}
        try:
            while waiting:
                ended, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in ended:
                    future.result()
                yield counter.value
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Worker:
    """A process of the pool: the bench, and the counter of views that all processes share.

    A process can get shared memory only when it starts, so its only worker is bound here.
    """

    _own: ClassVar["_Worker"]

    def __init__(self, bench: Bench, counter: "Synchronized[int]") -> None:
        self._bench, self._counter = bench, counter

    @classmethod
    def begin(cls, bench: Bench, counter: "Synchronized[int]", parent: int) -> None:
        """Prepare a process; it ends with its parent, however that ends."""
        cls._own = cls(bench, counter)

        def watch() -> None:
            while os.getppid() == parent:
                time.sleep(0.5)
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()

    @classmethod
    def run_group(cls, group: Sequence[tuple[Cell, Recipe]]) -> None:
        """Run the cells of a group and count their views."""
        _run_group(cls._own._bench, group, cls._own)

    def __call__(self, views: int) -> None:
        with self._counter.get_lock():
            self._counter.value += views
