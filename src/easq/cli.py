"""The command line: one command per verb. Results go to standard output, everything else to error.

Exit codes: 0 done, 2 the user's fault (a message, no traceback), 1 ours.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from easq import __version__
from easq.errors import InputError
from easq.log.base import LogError

app = App(
    name="easq",
    help="Ranking that aligns with what viewers say, not only with what they do.",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
world_app = App(name="world", help="Simulated platforms whose viewers have a known satisfaction.")
app.command(world_app)

_OTHERS = ("expert", "oracle", "popularity", "random")
_notes = Console(stderr=True)
_out = Console(width=None if sys.stdout.isatty() else 130)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object and nothing else.")]
Overrides = Annotated[
    list[str] | None, Parameter(name="--set", negative="", help="Change a setting: model.rank=4. Repeatable.")
]


@app.command(name="import")
def import_log(
    loader: str,
    *,
    path: Path,
    log: Path,
    mapping: Path | None = None,
    as_json: Json = False,
) -> None:
    """Turn a data set into an event log.

    Parameters
    ----------
    loader
        kuairand, eeg_svrec or table (any CSV or Parquet, with --mapping).
    path
        The data set's folder or file.
    log
        The log file to write; events that it holds already are not written twice.
    mapping
        The table loader's TOML file: which column is what.
    """
    from easq.datasets import load

    with _progress() as watch:
        summary = load(loader, path, log, mapping, watch("import", 1))
    _show(summary, as_json, lambda: _print_import(summary))


@app.command
def replay(
    *,
    recipe: Path,
    out: Path,
    log: Path | None = None,
    data: Path | None = None,
    truth: Path | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Replay a log through the online learner and measure it, every score out of sample.

    Parameters
    ----------
    recipe
        The run's settings, a TOML file.
    out
        The run's folder: metrics.json, report.html, parameters, late events.
    log
        An event log to replay.
    data
        A data set to import first, by the loader that the recipe names.
    truth
        A simulated world's file of true satisfaction, for measuring alone.
    resume
        Go on with a run that was stopped, to the same result.
    """
    from easq.datasets import load
    from easq.log.sqlite import SqliteLog
    from easq.prove.replay import replay as run_replay
    from easq.prove.replay import run_folder
    from easq.settings import read_recipe

    settings = read_recipe(recipe, overrides or [])
    if (log is None) == (data is None):
        raise InputError("give either --log FILE or --data PATH")
    if data is not None and settings.data is None:
        raise InputError(f"--data needs a [data] table with a loader in {recipe}; or use --log")
    if log is not None and not log.exists():
        raise InputError(f"--log: there is no file at {log}")
    imported: dict[str, Any] = {}
    with _progress() as watch, run_folder(settings, out, resume):
        if data is not None and settings.data is not None:
            log = out / "events.log"
            if not (resume and log.exists()):
                mapping = recipe.parent / settings.data.mapping if settings.data.mapping else None
                imported = _import_whole(load, settings.data.loader, data, log, mapping, watch("import", 1))
        assert log is not None
        with SqliteLog(log) as events:
            result, _ = run_replay(settings, events, out, resume, truth, watch("replay", 1))
    shown = {key: result[key] for key in ("views", "answers", "seconds", "views_per_second", "metrics")}

    def tell() -> None:
        if imported:
            _print_import(imported)
        _print_replay(result, out)

    _show(shown, as_json, tell)


@app.command
def report(*folders: Path, out: Path | None = None, as_json: Json = False) -> None:
    """Write the report of one run anew, or of several side by side.

    Parameters
    ----------
    folders
        Folders that `easq replay` wrote.
    out
        The HTML file to write; the first folder's report.html if not given.
    """
    from easq.prove.report.write import write_report

    if not folders:
        raise InputError("name at least one folder that `easq replay` wrote")
    results = []
    for folder in folders:
        path = folder / "metrics.json"
        if not path.exists():
            raise InputError(f"{folder} holds no metrics.json; is it the folder of a finished replay?")
        results.append(json.loads(path.read_text()))
    target = out or folders[0] / "report.html"
    write_report(results, target)
    _show({"report": str(target)}, as_json, lambda: _out.print(f"report: {target}"))


@world_app.command
def make(
    *,
    out: Path,
    views: int,
    seed: int = 1,
    ask: float = 0.005,
    answer: float = 0.02,
    as_json: Json = False,
) -> None:
    """Let a small world live and write down its log, and its truth in a file of its own.

    Parameters
    ----------
    out
        The log file; the truth goes to the same name with .truth behind it.
    views
        How many views at least (a request has ten).
    seed
        Equal seeds give equal worlds.
    ask
        Chance that an eligible view is asked about.
    answer
        Mean chance that an ask is answered; who is annoyed answers more often.
    """
    from easq.log.sqlite import SqliteLog
    from easq.world.record import record
    from easq.world.simulate import Rates, World

    if views < 1:
        raise InputError(f"--views: got {views}; allowed: 1 or more")
    if out.exists():
        raise InputError(f"--out: {out} exists already; choose another name or remove it")
    for name, value in (("ask", ask), ("answer", answer)):
        if not 0 <= value <= 1:
            raise InputError(f"--{name}: got {value}; allowed: 0 to 1")
    truth = out.with_name(out.name + ".truth")
    truth.unlink(missing_ok=True)
    started = time.monotonic()
    with _progress() as watch, SqliteLog(out) as log:
        advance, done = watch("a world lives", views), 0

        def on_views(num: int) -> None:
            nonlocal done
            done += num
            advance(done, views)

        made = record(World(seed, Rates(ask, answer)), views, log, truth, on_views)
    result = {"views": made, "log": str(out), "truth": str(truth), "seconds": time.monotonic() - started}
    _show(result, as_json, lambda: _out.print(f"{made:,} views in {out}, their truth in {truth}"))


@app.command
def demo(
    *,
    recipe: Path = Path("recipes/world.toml"),
    out: Path = Path("runs/demo"),
    views: int = 1_000_000,
    seed: int = 1,
    as_json: Json = False,
) -> None:
    """Replay a simulated world with a behaviour-only model and with EASQ, and compare both with the truth.

    Parameters
    ----------
    recipe
        The settings of both runs; only the method differs.
    out
        Where the world, both runs and the report go.
    views
        How many views the world has.
    seed
        The world's seed.
    """
    from easq.demo import run_demo
    from easq.settings import read_recipe

    if views < 1:
        raise InputError(f"--views: got {views}; allowed: 1 or more")
    with _progress() as watch:
        result = run_demo(read_recipe(recipe), out, views, seed, watch)
    _show(result, as_json, lambda: _print_demo(result))


def _import_whole(
    load: Callable[..., dict[str, Any]],
    loader: str,
    data: Path,
    log: Path,
    mapping: Path | None,
    on_progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Import under another name first, so that a log of that name is a whole one; return the counts."""
    part = log.with_name(log.name + ".part")
    for old in log.parent.glob(log.name + "*"):
        old.unlink()
    summary = load(loader, data, part, mapping, on_progress)
    rejects = log.with_name(log.name + ".rejects.jsonl")
    log.with_name(part.name + ".rejects.jsonl").replace(rejects)
    if not summary["views"]:
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in summary["rejected"].items())
        raise InputError(
            f"{data}: no row of {summary['rows']:,} can be used ({reasons}); each stands in {rejects}"
        )
    part.rename(log)
    return {**summary, "log": str(log), "rejects": str(rejects)}


@contextmanager
def _progress() -> Iterator[Callable[[str, int], Callable[[int, int], None]]]:
    """Show progress bars on standard error; yields a function that starts one."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_notes, transient=True) as bars:

        def watch(title: str, total: int) -> Callable[[int, int], None]:
            task = bars.add_task(title, total=total)
            return lambda done, whole: bars.update(task, completed=done, total=whole)

        yield watch


def _show(result: dict[str, Any], as_json: bool, show: Callable[[], None]) -> None:
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        show()


def _print_import(summary: dict[str, Any]) -> None:
    _out.print(
        f"{summary['rows']:,} rows: {summary['requests']:,} requests, {summary['views']:,} views, "
        f"{summary['answers']:,} answers in {summary['log']}"
    )
    for option, number in summary["options"].items():
        _out.print(f"  answered {option}: {number:,}")
    for reason, number in summary["rejected"].items():
        _out.print(f"  rows left out, {reason}: {number:,}")
    for reason, number in summary["rejected_answers"].items():
        _out.print(f"  answers left out, {reason}: {number:,}")
    if summary["rejected"] or summary["rejected_answers"]:
        _out.print(f"  each stands in {summary['rejects']}")


def _print_replay(result: dict[str, Any], out: Path) -> None:
    _out.print(
        f"{result['views']:,} views and {result['answers']:,} answers in {result['seconds']:.1f} s "
        f"({result['views_per_second']:,.0f} views/s)"
    )
    for reason, number in _reasons(out / "late.jsonl").most_common(5):
        _out.print(f"  events that came to nothing, {reason}: {number:,} (in {out / 'late.jsonl'})")
    metrics = result["metrics"]
    references = list(result["lead"])
    table = Table("metric", result["method"], f"{result['confidence']:.0%} interval", *references)
    for reference in references:
        table.add_column(f"over {reference}")
    for name in sorted(n for n in metrics if n.count("/") < 2 and n.split("/")[0] not in _OTHERS):
        found = metrics[name]
        compared = [metrics.get(f"{reference}/{name}") for reference in references]
        leads = [result["lead"][reference].get(name) for reference in references]
        table.add_row(
            name,
            _number(found["value"]),
            f"{_number(found['low'])} to {_number(found['high'])}",
            *(_number(c["value"]) if c else "" for c in compared),
            *(_signed(lead) if lead else "" for lead in leads),
        )
    _out.print(table)
    _out.print(
        "Every score is from before the model learned the view or its answer. `over`: this run minus the "
        "reference, both on the same drawn viewers; an interval that holds zero shows nothing."
    )
    _out.print(f"report: {out / 'report.html'}")


def _reasons(late: Path) -> Counter[str]:
    """Count the events that came to no example by reason."""
    with late.open("rb") as lines:
        return Counter(json.loads(line)["reason"] for line in lines)


def _print_demo(result: dict[str, Any]) -> None:
    _out.print(
        f"{result['views']:,} simulated views, {result['answers']:,} answers "
        f"({result['asked_per_eligible_view']:.1%} of eligible views are asked about, "
        f"{result['answered_per_ask']:.0%} of asks answered: far more than on a real platform, "
        "because a demo has minutes)"
    )
    table = Table("metric", "random", "popularity", "behavior", "easq", "oracle", "easq - behavior (95 %)")
    for row in result["rows"]:
        gain = row["difference"]
        values = [_number(row.get(name)) for name in ("random", "popularity", "behavior", "easq", "oracle")]
        table.add_row(row["metric"], *values, _signed(gain))
    _out.print(table)
    _out.print(
        "true_sat@k: mean true satisfaction of the first k items of each request (no model can read it). "
        "behavior@k: how much behaviour they drew (kinds of it, at most 2). pair_accuracy: how often more "
        "behaviour stands above less. oracle ranks by the truth. Last column: 95 % interval in brackets."
    )
    _out.print(f"report: {result['report']}  ({result['seconds']:.0f} s)")


def _signed(difference: dict[str, float | None]) -> str:
    value, low, high = (difference[name] for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return ""
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def main() -> None:
    """Run the command line."""
    try:
        app(exit_on_error=False, print_error=False, help_on_error=False)
    except (InputError, LogError, CycloptsError) as error:
        sys.stderr.write(f"easq: {error}\n")
        sys.exit(2)
    except MemoryError as error:
        sys.stderr.write(f"easq: not enough memory for these settings or this data: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("easq: stopped; `easq replay --resume` goes on where a replay was\n")
        sys.exit(130)
