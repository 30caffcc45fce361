"""The command that compares methods: a plan of experiments on worlds; a stopped run resumes."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from rich.table import Table

from easq.cli.shared import Json, app, console, progress, show
from easq.errors import InputError
from easq.recipe.packaged import located

if TYPE_CHECKING:  # loaded when the command needs it
    from easq.prove.bench.plan import Plan
    from easq.prove.bench.real import RealResult
    from easq.prove.bench.runner import Bench

_TABLE = "table"
"""The name of a table of one's own among the logs of --data."""


@app.command
def bench(
    recipe: Path = Path("world"),
    *,
    out: Path,
    size: str = "quick",
    plan: Path = Path("bench/plan"),
    only: tuple[str, ...] = (),
    method: tuple[str, ...] = (),
    workers: int = 0,
    data: tuple[str, ...] = (),
    mapping: Path | None = None,
    log: Path | None = None,
    rows: tuple[Path, ...] = (),
    as_json: Json = False,
) -> None:
    """Compare methods on simulated worlds or on a log: run what is missing, then write tables and figures.

    Parameters
    ----------
    recipe
        The settings that all methods share: features, behaviors, sizes; a file or a packaged name.
    out
        The bench's folder: cells/ holds rows as they come, rows.json and rows.parquet all of them, and
        report/ the tables and figures.
    size
        A size of the plan. On one core smoke takes half a minute, quick and tuning about 25 minutes, full 5
        hours and its experiment regime 11 more. Cells that are done are not run again.
    plan
        The experiments; the methods are the files in methods/ next to it, and those that come with easq.
    only
        Run only these experiments, by their names in the plan, such as headline. Repeatable.
    method
        Run only these methods, by their names in the plan, such as easq. Repeatable; on logs too.
    workers
        Processes at once; 0: one for each core.
    data
        A real log of the plan, as kuairand=FOLDER, or your table, as table=views.parquet. Repeatable.
    mapping
        Which column of your table is what; by default the file of [data] in RECIPE.
    log
        A log of your own, as easq import or a live service writes it, with your RECIPE. Of it or your table
        methods learn half of the answers and are scored on the rest, beside your score ([reference]).
    rows
        Another run's rows.json or rows.parquet, of the same plan, size and code: their cells are not run
        again, and the cells in --out stay. Repeatable.
    """
    from easq.prove.bench.plan import read_plan
    from easq.prove.bench.runner import Bench

    _check(declared := read_plan(plan := located(plan)), size, only, workers)
    whole = Bench(recipe, plan.parent / "methods", declared, declared.sizes[size], out)
    out.mkdir(parents=True, exist_ok=True)
    _adopt(whole, rows)
    own, named = _own_of(whole, data, log, mapping), _named(whole, data)
    imported = _run_logs(whole, plan.parent, named, own, method)
    if not data and own is None:
        _run_worlds(whole, only, method, workers or os.cpu_count() or 1)
    _show(whole, imported, as_json, {name for name, _ in named}, has_own=own is not None)


class _Own(NamedTuple):
    """A log of one's own, or a table with its mapping."""

    path: Path
    mapping: Path | None


def _own_of(bench: "Bench", data: tuple[str, ...], log: Path | None, mapping: Path | None) -> _Own | None:
    tables = [path for name, path in _named(bench, data) if name == _TABLE]
    if len(tables) + (log is not None) > 1:
        raise InputError("--data table=..., --log: give one log or table of your own")
    if mapping is not None and not tables:
        raise InputError("--mapping is for --data table=PATH")
    if tables:
        return _Own(tables[0], located(mapping) if mapping else _mapping_of(bench.recipe, tables[0]))
    return None if log is None else _Own(log, None)


def _mapping_of(recipe: Path, table: Path) -> Path:
    from easq.model.method import read_method
    from easq.recipe.read import read_recipe

    declared = read_recipe(recipe, methods=read_method).data
    if declared is None or declared.mapping is None:
        raise InputError(f"--data table={table}: it needs --mapping FILE, or [data] mapping in {recipe}")
    return located(recipe).parent / declared.mapping


def _run_logs(
    bench: "Bench", plans: Path, logs: list[tuple[str, Path]], own: _Own | None, methods: tuple[str, ...]
) -> dict[str, Any] | None:
    """Run methods on logs; return the counts of the import of a table, if one was imported now."""
    from easq.prove.bench.real import import_own, run, run_own

    counts = None
    with progress() as watch:
        for name, path in logs:
            if name != _TABLE:
                run(bench, plans, name, path, watch, methods)
        if own is not None:
            log = own.path
            if own.mapping is not None:
                log, counts = import_own(bench, own.path, own.mapping, watch)
            run_own(bench, log, watch, methods)
    return counts


def _run_worlds(bench: "Bench", only: tuple[str, ...], methods: tuple[str, ...], workers: int) -> None:
    from easq.prove.bench.runner import run

    with progress() as watch:
        run(bench, only, methods, workers, watch("views learned by all methods", 1))


def _show(
    bench: "Bench", imported: dict[str, Any] | None, as_json: bool, named: set[str], *, has_own: bool
) -> None:
    """Write the report, and print what there is of the logs that were run, or of worlds."""
    from easq.prove.bench.bench_report import write
    from easq.prove.bench.real import OWN, results

    done = write(bench, of_worlds=not has_own)
    run = named | ({OWN} if has_own else set())
    logs = [result for result in results(bench) if result.log in run]
    verdicts = [
        {"kept": each.kept, **msgspec.to_builtins(each.comparison)} for each in logs if each.comparison
    ]
    result = {"rows": done, "report": str(bench.out / "report" / "index.html"), "verdicts": verdicts}
    show(result, as_json, lambda: _print(bench, done, logs, imported))


def _print(bench: "Bench", done: int, logs: list["RealResult"], imported: dict[str, Any] | None) -> None:
    from easq.cli.replay import print_import
    from easq.prove.bench.bench_report import short_table

    out = bench.out
    if imported:
        print_import(imported)
    if not logs:
        console.print(f"{done:,} rows in {out}/rows.json; report in {out}/report")
        return
    for result in logs:
        heads, rows = short_table(result)
        table = Table("", *heads, title=_title(result))
        for method, cells in rows:
            table.add_row(method, *cells)
        console.print(table)
    console.print(f"results in {out}/real; report in {out}/report", highlight=False)
    compared = [result for result in logs if result.comparison]
    for how in dict.fromkeys(result.comparison.how() for result in compared if result.comparison):
        console.print(how, highlight=False)
    for result in compared:
        if result.comparison:
            of = f"{result.kept:.0%} of the answers learned: " if len(compared) > 1 else ""
            console.print(of + result.comparison.line, highlight=False, soft_wrap=True)


def _title(result: "RealResult") -> str:
    from easq.prove.bench.real import OWN

    first, name = next(iter(result.methods.values())), "" if result.log == OWN else f"{result.log}: "
    counts = f"{first.learned:,} answers learned, {first.held:,} held back and scored"
    return f"{name}{counts}; 95 % intervals by viewer"


def _check(plan: "Plan", size: str, only: tuple[str, ...], workers: int) -> None:
    if size not in plan.sizes:
        raise InputError(f"--size: got {size!r}; allowed: {', '.join(plan.sizes)}")
    for name in only:
        if name not in plan.sizes[size].experiments:
            allowed = ", ".join(plan.sizes[size].experiments)
            raise InputError(f"--only: got {name!r}; allowed with this size: {allowed}")
    if workers < 0:
        raise InputError(f"--workers: got {workers}; allowed: 0 or more")


def _adopt(whole: "Bench", paths: tuple[Path, ...]) -> None:
    """Take the rows of earlier runs into a bench."""
    from easq.prove.bench.row_store import read_rows

    for path in paths:
        rows = read_rows(path)
        try:
            num_cells = whole.adopt(rows)
        except InputError as error:
            raise InputError(f"--rows: {path}: {error}") from None
        if not num_cells:
            raise InputError(f"--rows: {path} holds no cell of this plan and size")


def _named(bench: "Bench", data: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Return the logs of --data by name."""
    named = []
    for argument in data:
        name, equals, path = argument.partition("=")
        if not equals or name not in (*bench.plan.real, _TABLE):
            raise InputError(
                f"--data: got {argument!r}; allowed: NAME=PATH with NAME table or a real log of the plan"
            )
        named.append((name, Path(path)))
    return named
