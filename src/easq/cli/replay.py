"""Commands on logs: import one, replay one, report on runs."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.table import Table

from easq.cli.shared import Json, Overrides, app, console, decimal, progress, show, signed
from easq.errors import InputError
from easq.recipe.packaged import located

if TYPE_CHECKING:  # loaded when a command needs it
    from easq.prove.offline.paired_runs import FinishedRun, PairedRuns
    from easq.prove.offline.results import ReplayResult, ReplayTimes
    from easq.recipe.recipe import Recipe

_NOTE = "data.json"
"""The file in a run's folder with the fingerprint of the data that were imported for it."""
_OTHERS = ("expert", "oracle", "popularity", "random")


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
        kuairand, eeg_svrec or table (any CSV, Parquet or JSON lines, with --mapping).
    path
        The data set's folder or file.
    log
        The log file to write; events that it holds already are not written twice.
    mapping
        The table loader's TOML file: which column is what.
    """
    from easq.sources.datasets import load

    with progress() as watch:
        summary = load(loader, path, log, mapping, watch("import", 1))
    show(summary, as_json, lambda: print_import(summary))


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
        The run's settings, a TOML file, or the name of a packaged recipe, such as recommended.
    out
        The run's folder: metrics.json, report.html, parameters, late events.
    log
        An event log to replay.
    data
        A data set to import first, with the loader that the recipe names.
    truth
        A simulated world's file of true satisfaction, used only for measuring.
    resume
        Continue a run that was stopped; the result is the same.
    """
    from easq.log.sqlite import SqliteLog
    from easq.model.method import read_method
    from easq.prove.offline.replay import holds_results, run_folder
    from easq.prove.offline.replay import replay as run_replay
    from easq.recipe.read import read_recipe

    settings = read_recipe(recipe, overrides or [], methods=read_method)
    if (log is None) == (data is None):
        raise InputError("give either --log FILE or --data PATH")
    if data is not None and settings.data is None:
        raise InputError(f"--data needs a [data] table with a loader in {recipe}; or use --log")
    if log is not None and not log.exists():
        raise InputError(f"--log: there is no file at {log}")
    mapping = None if data is None else _mapping_of(settings, recipe)
    imported: dict[str, Any] = {}
    with progress() as watch, run_folder(settings, out, resume):
        if data is not None and settings.data is not None:
            log = out / "events.log"
            imported = _import_data(settings.data.loader, data, log, mapping, resume, watch)
            # What has learned nothing begins anew with what was imported now.
            resume = resume and (not imported or holds_results(out))
        assert log is not None
        with SqliteLog(log) as events:
            done = run_replay(settings, events, out, resume, truth, watch("replay", 1))

    def as_text() -> None:
        if imported:
            print_import(imported)
        _print_replay(done.result, done.times, out)

    show(_replay_summary(done.result, done.times), as_json, as_text)


def _mapping_of(settings: "Recipe", recipe: Path) -> Path | None:
    """Return the mapping that a recipe names, once it is known to give what the recipe reads."""
    from easq.sources.datasets.mapping_fit import check_fit

    if settings.data is None or settings.data.mapping is None:
        return None
    mapping = located(recipe).parent / settings.data.mapping
    check_fit(settings, mapping)
    return mapping


def _import_data(
    loader: str,
    data: Path,
    log: Path,
    mapping: Path | None,
    resume: bool,
    watch: Callable[[str, int], Callable[[int, int], None]],
) -> dict[str, Any]:
    """Import the data of a run; return the counts, nothing if a run that is resumed has imported them.

    Raises InputError if the run was started with other data and holds something.
    """
    from easq.prove.offline.replay import holds_results
    from easq.sources.datasets.fingerprint import fingerprint
    from easq.sources.datasets.whole_import import import_whole

    found = fingerprint(data, mapping)
    if holds_results(log.parent):
        _check_same_data(log.parent, found, resume)
    if resume and log.exists() and _noted(log.parent) == found:
        return {}
    note = log.parent / _NOTE
    return import_whole(loader, data, log, mapping, note, lambda _: found, watch("import", 1))


def _noted(out: Path) -> dict[str, list[Any]] | None:
    """Return the fingerprint of the data that a run was started with; None if it noted none."""
    noted = out / _NOTE
    before = json.loads(noted.read_text()) if noted.exists() else None
    return before if isinstance(before, dict) else None


def _check_same_data(out: Path, found: dict[str, list[Any]], resume: bool) -> None:
    """Raise InputError if a run that is resumed was started with other data, or may have been."""
    from easq.sources.datasets.fingerprint import differing

    log, before = out / "events.log", _noted(out) if resume else None
    if before is not None:
        if names := differing(before, found):
            raise InputError(
                f"--data: {out} was started with other data; these files differ: {', '.join(names[:12])}. "
                "Name the data that it was started with, or remove the folder"
            )
    elif resume and log.exists():
        raise InputError(
            f"--data: {out} was started by a version that noted no content of its data, so these may be "
            f"others. If they are not, give --log {log} --resume without --data; else remove the folder"
        )


def _replay_summary(result: "ReplayResult", times: "ReplayTimes") -> dict[str, Any]:
    return {
        "views": result.views,
        "answers": result.answers,
        "seconds": times.seconds,
        "views_per_second": times.views_per_second,
        "metrics": msgspec.to_builtins(result.metrics),
    }


@app.command
def report(*folders: Path, out: Path | None = None, as_json: Json = False) -> None:
    """Write the report of one run again, or of several side by side with their paired differences.

    Parameters
    ----------
    folders
        Folders that `easq replay` wrote. Several must be of one log; each is compared with the first.
    out
        The HTML file to write; the first folder's report.html if not given.
    """
    from easq.prove.offline.paired_runs import check_same_views, paired, read_run
    from easq.prove.report.write import write_report

    if not folders:
        raise InputError("name at least one folder that `easq replay` wrote")
    runs = [read_run(folder) for folder in folders]
    for run in runs[1:]:
        check_same_views(runs[0], run)
    pairs = [paired(runs[0], run) for run in runs[1:]]
    target = out or folders[0] / "report.html"
    write_report([run.result for run in runs], target)
    found: dict[str, Any] = {"report": str(target)}
    if pairs:
        found["differences"] = [pair and _to_json(pair) for pair in pairs]

    def as_text() -> None:
        for run, pair in zip(runs[1:], pairs, strict=True):
            _print_pair(runs[0], run, pair)
        console.print(f"report: {target}")

    show(found, as_json, as_text)


def _to_json(pair: "PairedRuns") -> dict[str, Any]:
    metrics = msgspec.to_builtins(pair.metrics)
    return {"run": str(pair.run), "over": str(pair.over), "metrics": metrics, "left_out": list(pair.left_out)}


def _print_pair(first: "FinishedRun", other: "FinishedRun", pair: "PairedRuns | None") -> None:
    if pair is None:
        console.print(
            f"no paired difference of {other.folder} and {first.folder}: one of them has no sums or settings "
            "that can be read, as of an earlier easq. Replay it again"
        )
        return
    level = f"{first.result.confidence:.0%} interval"
    table = Table("metric", str(first.folder), str(other.folder), f"second minus first, {level}")
    for name, difference in pair.metrics.items():
        values = (run.result.metrics[name].value for run in (first, other))
        table.add_row(name, *map(decimal, values), signed(msgspec.to_builtins(difference)))
    console.print(table)
    for name in pair.left_out:
        console.print(f"{name} is left out: the two recipes order a request's views differently")
    console.print(
        f"Over the same {first.result.views:,} views and {first.result.answers:,} answers. Viewers are drawn "
        "for both runs at once; an interval that holds zero shows nothing."
    )


def print_import(summary: dict[str, Any]) -> None:
    """Print the counts of an import."""
    console.print(
        f"{summary['rows']:,} rows: {summary['requests']:,} requests, {summary['views']:,} views, "
        f"{summary['answers']:,} answers in {summary['log']}"
    )
    if older := summary["older"]:
        console.print(
            f"  new rows older than what the log held: {older:,}. A replay may leave them out as late; "
            "import files in the order of time, or all at once into a new log"
        )
    if changed := summary["changed"]:
        console.print(
            f"  events that the log holds with other content: {changed:,}. Those of the log stay; "
            "to take the new ones, import everything into a new log"
        )
    console.print(f"  events that are new to the log: {summary['written']:,}")
    if passed_over := summary["passed_over"]:
        more = f" and {len(passed_over) - 12} more" if len(passed_over) > 12 else ""
        console.print(f"  files passed over: {', '.join(passed_over[:12])}{more}")
    for option, number in summary["options"].items():
        console.print(f"  answered {option}: {number:,}")
    for doubt in summary["order_doubt"]:
        console.print(f"  order_doubt: {doubt['text']}")
    for reason, number in summary["rejected"].items():
        console.print(f"  rows left out, {reason}: {number:,}")
    for reason, number in summary["rejected_answers"].items():
        console.print(f"  answers left out, {reason}: {number:,}")
    for reason, number in summary["rejected_cells"].items():
        examples = ", ".join(map(repr, summary["cell_examples"].get(reason, ())))
        console.print(f"  cells taken as empty, {reason}: {number:,}, such as {examples}")
    if summary["rejected"] or summary["rejected_answers"] or summary["rejected_cells"]:
        console.print(f"  each stands in {summary['rejects']}")


def _print_replay(result: "ReplayResult", times: "ReplayTimes", out: Path) -> None:
    console.print(
        f"{result.views:,} views and {result.answers:,} answers in {times.seconds:.1f} s "
        f"({times.views_per_second:,.0f} views/s)"
    )
    for reason, number in _reasons(out / "late.jsonl").most_common(5):
        console.print(f"  events that came to nothing, {reason}: {number:,} (in {out / 'late.jsonl'})")
    for doubt in result.order_doubt:
        console.print(f"  order_doubt: {doubt}")
    metrics, references = result.metrics, list(result.lead)
    table = Table("metric", result.method, f"{result.confidence:.0%} interval", *references)
    for reference in references:
        table.add_column(f"over {reference}")
    for name in sorted(n for n in metrics if n.count("/") < 2 and n.split("/")[0] not in _OTHERS):
        metric = metrics[name]
        others = [metrics.get(f"{reference}/{name}") for reference in references]
        leads = [result.lead[reference].get(name) for reference in references]
        table.add_row(
            name,
            decimal(metric.value),
            f"{decimal(metric.low)} to {decimal(metric.high)}",
            *(decimal(other.value) if other else "" for other in others),
            *(signed(msgspec.to_builtins(lead)) if lead else "" for lead in leads),
        )
    console.print(table)
    console.print(
        "Every score is from before the model learned the view or its answer. `over`: this run minus the "
        "reference, both on the same drawn viewers; an interval that holds zero shows nothing."
    )
    console.print(f"report: {out / 'report.html'}")


def _reasons(late: Path) -> Counter[str]:
    """Count the events that led to no example, by reason."""
    with late.open("rb") as lines:
        return Counter(json.loads(line)["reason"] for line in lines)
