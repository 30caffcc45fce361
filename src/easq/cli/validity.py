"""The command that checks whether a log's questionnaire can be trusted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter
from rich.table import Table

from easq.cli.shared import Json, Overrides, app, console, progress, show
from easq.errors import InputError

if TYPE_CHECKING:  # loaded when the command needs it
    from easq.prove.answers.results import ValidityResult
    from easq.prove.offline.tally import MetricValue

Hours = Annotated[float, Parameter(help="How long after an answer behavior counts as later.")]

Readiness = Annotated[
    float,
    Parameter(help="How many times as readily the worst option is answered as the best; no log can tell."),
]


@app.command
def validity(
    *,
    log: Path,
    recipe: Path,
    out: Path,
    window_hours: Hours = 24.0,
    readiness: Readiness = 1.0,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Show who answers the questionnaire of a log, and whether viewers act as they say.

    Parameters
    ----------
    log
        The log file.
    recipe
        The settings: features, behaviors, question and windows.
    out
        The report, an HTML file.
    """
    from easq.log.sqlite import SqliteLog
    from easq.model.method import read_method
    from easq.prove.answers.validity import measure_validity
    from easq.prove.report.about_answers import write_validity
    from easq.recipe.read import read_recipe

    if not log.is_file():
        raise InputError(f"--log: there is no file {log}")
    if window_hours <= 0:
        raise InputError(f"--window-hours: got {window_hours}; allowed: above 0")
    if readiness <= 0:
        raise InputError(f"--readiness: got {readiness}; allowed: above 0")
    if not out.parent.is_dir():
        raise InputError(f"--out: there is no folder {out.parent}")
    settings = read_recipe(recipe, overrides or [], methods=read_method)
    with SqliteLog(log, read_only=True) as events, progress() as watch:
        result = measure_validity(settings, events, window_hours, watch("read the log", 1), readiness)
    write_validity(result, out)
    show(msgspec.to_builtins(result), as_json, lambda: _print(result, out))


def _print(result: "ValidityResult", out: Path) -> None:
    counts = result.counts
    console.print(
        f"{counts.asked:,} asks: {counts.answered:,} answered, {counts.dismissed:,} dismissed, "
        f"{counts.ignored:,} ignored, {counts.silent:,} with nothing reported"
    )
    options = result.question.options
    table = Table("after an answer, against the viewer's own average", *options)
    for behavior in result.behaviors:
        changes = [_change(result.metrics.get(f"later/{option}/{behavior}")) for option in options]
        table.add_row(behavior, *changes)
    console.print(table)
    console.print(f"report: {out}")


def _change(metric: "MetricValue | None") -> str:
    if metric is None or metric.value is None or metric.low is None or metric.high is None:
        return "-"
    value, low, high = (100 * (bound - 1) for bound in (metric.value, metric.low, metric.high))
    return f"{value:+.1f} % ({low:+.1f} to {high:+.1f})"
