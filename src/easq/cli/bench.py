"""The command that compares methods: a plan of experiments on worlds; a stopped run resumes."""

import os
from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from easq.cli.shared import Json, app, console, progress, show
from easq.errors import InputError
from easq.recipe.packaged import located

if TYPE_CHECKING:  # loaded when the command needs it
    from easq.prove.bench.plan import Plan
    from easq.prove.bench.real import RealResult
    from easq.prove.bench.runner import Bench


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
    log: Path | None = None,
    rows: tuple[Path, ...] = (),
    as_json: Json = False,
) -> None:
    """Compare methods on simulated worlds: run what is missing, then write tables and figures.

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
        A real log of the plan and its folder, such as kuairand=FOLDER. Repeatable. Then no world is run.
    log
        A log of your own, as easq import writes it, with your RECIPE: methods learn a part of its answers and
        are scored on the rest, beside popularity and a plain linear learner. Then no world is run.
    rows
        Rows of an earlier run of the same plan, size and code, such as another folder's rows.json or
        rows.parquet: their cells are not run again, and the cells in --out stay. Repeatable.
    """
    from easq.prove.bench.bench_report import write
    from easq.prove.bench.plan import read_plan
    from easq.prove.bench.runner import Bench

    _check(declared := read_plan(plan := located(plan)), size, only, workers)
    whole = Bench(recipe, plan.parent / "methods", declared, declared.sizes[size], out)
    out.mkdir(parents=True, exist_ok=True)
    for path in rows:
        _adopt(whole, path)
    logs = [_real(argument, whole.plan.real) for argument in data]
    if logs or log is not None:
        _run_logs(whole, plan.parent, logs, log, method)
    else:
        _run_worlds(whole, only, method, workers or os.cpu_count() or 1)
    done = write(whole)
    result = {"rows": done, "report": str(out / "report" / "index.html")}
    show(result, as_json, lambda: _print(whole, done, has_own=log is not None))


def _run_logs(
    bench: "Bench",
    plans: Path,
    logs: list[tuple[str, Path]],
    own: Path | None,
    methods: tuple[str, ...],
) -> None:
    from easq.prove.bench.real import run, run_own

    with progress() as watch:
        for name, path in logs:
            run(bench, plans, name, path, watch, methods)
        if own is not None:
            run_own(bench, own, watch, methods)


def _run_worlds(bench: "Bench", only: tuple[str, ...], methods: tuple[str, ...], workers: int) -> None:
    from easq.prove.bench.runner import run

    with progress() as watch:
        run(bench, only, methods, workers, watch("views learned by all methods", 1))


def _print(bench: "Bench", done: int, *, has_own: bool) -> None:
    from easq.prove.bench.bench_report import short_table
    from easq.prove.bench.real import OWN, results

    for result in results(bench) if has_own else ():
        if result.log == OWN:
            heads, rows = short_table(result)
            table = Table("", *heads, title=_own_title(result))
            for method, cells in rows:
                table.add_row(method, *cells)
            console.print(table)
    out = bench.out
    if has_own:
        console.print(f"results in {out}/real; report in {out}/report")
        return
    console.print(f"{done:,} rows in {out}/rows.json; report in {out}/report")


def _own_title(result: "RealResult") -> str:
    first = next(iter(result.methods.values()))
    return f"{first.learned:,} answers learned, {first.held:,} held back and scored; 95 % intervals by viewer"


def _check(plan: "Plan", size: str, only: tuple[str, ...], workers: int) -> None:
    if size not in plan.sizes:
        raise InputError(f"--size: got {size!r}; allowed: {', '.join(plan.sizes)}")
    for name in only:
        if name not in plan.sizes[size].experiments:
            allowed = ", ".join(plan.sizes[size].experiments)
            raise InputError(f"--only: got {name!r}; allowed with this size: {allowed}")
    if workers < 0:
        raise InputError(f"--workers: got {workers}; allowed: 0 or more")


def _adopt(whole: "Bench", path: Path) -> None:
    """Take the rows of an earlier run into a bench."""
    from easq.prove.bench.row_store import read_rows

    rows = read_rows(path)
    try:
        num_cells = whole.adopt(rows)
    except InputError as error:
        raise InputError(f"--rows: {path}: {error}") from None
    if not num_cells:
        raise InputError(f"--rows: {path} holds no cell of this plan and size")


def _real(argument: str, known: Container[str]) -> tuple[str, Path]:
    name, equals, path = argument.partition("=")
    if not equals or name not in known:
        raise InputError(f"--data: got {argument!r}; allowed: NAME=PATH with NAME a real log of the plan")
    return name, Path(path)
