"""Commands on experiments: plan one, report on one, and check the statistics with an A/A test."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import App, Parameter
from rich.table import Table

from easq.cli.shared import Json, Overrides, app, console, progress, show
from easq.errors import InputError

if TYPE_CHECKING:  # loaded when a command needs it: the statistics take a second to import
    from easq.prove.ab.results import AaResult, ExperimentPlan, ExperimentResult, TreatmentResult
    from easq.prove.ab.viewer_days import ViewerDays
    from easq.recipe.experiments import Experiment
    from easq.recipe.recipe import Recipe

ab = App(name="ab", help="A/B tests: plan, report, and check the statistics on your own log.")
app.command(ab)

LogFile = Annotated[Path, Parameter(help="The log file.")]
RecipeFile = Annotated[Path, Parameter(help="The settings: experiments, metrics, behaviors, question.")]
Lift = Annotated[float, Parameter(help="The relative change that is to be seen: 0.01 is one percent.")]


@ab.command
def report(
    experiment: str,
    *,
    log: LogFile,
    recipe: RecipeFile,
    out: Path,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Report on an experiment of a log: the verdict in words, then every number.

    Parameters
    ----------
    experiment
        Its name in the recipe.
    out
        The report, an HTML file that needs nothing else.
    """
    from easq.prove.ab.analysis import analyse, find_experiment
    from easq.prove.report.about_ab import cautions, words, write_ab

    if not out.parent.is_dir():
        raise InputError(f"--out: there is no folder {out.parent}")
    settings = _settings(recipe, log, overrides)
    declared = find_experiment(settings, experiment)
    result = analyse(declared, _table(settings, log, declared))
    write_ab(result, out)

    def as_text() -> None:
        for treatment in result.treatments:
            for line in words(result, treatment):
                console.print(line)
            console.print(_metrics(result, treatment))
            for line in cautions(result, treatment):
                console.print(line)
        console.print(f"report: {out}")

    show(msgspec.to_builtins(result), as_json, as_text)


@ab.command
def plan(
    experiment: str,
    *,
    log: LogFile,
    recipe: RecipeFile,
    lift: Lift = 0.01,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Estimate, before the start, how many days an experiment needs, from a log of the platform.

    Parameters
    ----------
    experiment
        Its name in the recipe.
    """
    from easq.prove.ab.analysis import find_experiment
    from easq.prove.ab.power import plan as make_plan

    if not lift > 0:
        raise InputError(f"--lift: got {lift}; allowed: above 0")
    settings = _settings(recipe, log, overrides)
    declared = find_experiment(settings, experiment)
    result = make_plan(declared, _table(settings, log), lift)
    show(msgspec.to_builtins(result), as_json, lambda: console.print(_plan(result)))


@ab.command
def aa(
    *,
    log: LogFile,
    recipe: RecipeFile,
    runs: Annotated[int, Parameter(help="How often the viewers are dealt out.")] = 500,
    pre_days: Annotated[int, Parameter(help="Days of the log that only reduce variance.")] = 7,
    confidence: Annotated[
        float, Parameter(help="Of the intervals; the rest is how often they may err.")
    ] = 0.95,
    seed: Annotated[int, Parameter(help="Of the dealing.")] = 1,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Check the statistics where nothing differs (A/A test).

    The viewers of a log are repeatedly assigned at random to two identical arms: how often do the statistics
    report a difference?
    """
    from easq.prove.ab.aa import false_positives

    for name, value, allowed in (("--runs", runs, "1 or more"), ("--pre-days", pre_days + 1, "0 or more")):
        if value < 1:
            raise InputError(f"{name}: got {value - (name == '--pre-days')}; allowed: {allowed}")
    if not 0.5 <= confidence < 1:
        raise InputError(f"--confidence: got {confidence}; allowed: from 0.5 to below 1")
    table = _table(_settings(recipe, log, overrides), log)
    names = [spec.name for spec in table.metrics.specs]
    with progress() as watch:
        result = false_positives(table, names, runs, confidence, pre_days, seed, watch("deal", runs))
    show(msgspec.to_builtins(result), as_json, lambda: console.print(_aa(result)))


def _settings(recipe: Path, log: Path, overrides: list[str] | None) -> "Recipe":
    from easq.model.method import read_method
    from easq.recipe.read import read_recipe

    if not log.is_file():
        raise InputError(f"--log: there is no file {log}")
    return read_recipe(recipe, overrides or [], methods=read_method)


def _table(settings: "Recipe", log: Path, experiment: "Experiment | None" = None) -> "ViewerDays":
    """Read the log's table, with the arms of an experiment's viewers or without any."""
    from easq.log.sqlite import SqliteLog
    from easq.prove.ab.viewer_days import read_table

    with SqliteLog(log, read_only=True) as events, progress() as watch:
        opener = partial(SqliteLog, log, read_only=True)
        return read_table(settings, experiment, events, watch("read the log", 1), opener=opener)


def _metrics(result: "ExperimentResult", treatment: "TreatmentResult") -> Table:
    from easq.prove.report.about_ab import absolute, change

    table = Table("metric", result.arms[0], treatment.arm, "change, at every look", "in its unit")
    for spec in result.specs:
        title = f"{spec.title} ({spec.unit})"
        effect, difference = treatment.metrics.get(spec.name), treatment.differences.get(spec.name)
        if difference is None:
            table.add_row(title, "-", "-", "-", "-")
            continue
        values = f"{difference.control:.4g}", f"{difference.treatment:.4g}"
        table.add_row(title, *values, change(effect) if effect else "-", absolute(difference))
    return table


def _plan(result: "ExperimentPlan") -> Table:
    days = len(result.viewers)
    table = Table(
        "metric",
        f"smallest change after {days} days",
        "looking every day",
        f"days for {result.lift:.2%}, looking every day",
        title=f"{result.viewers[-1]:,} viewers, power {result.power:.0%}",
    )
    for name, metric in result.metrics.items():
        last = metric.smallest_lift[-1] if metric.smallest_lift else None
        smallest = (f"{last.fixed:.2%}", f"{last.always:.2%}") if last else ("-", "-")
        needed = str(metric.days_needed) if metric.days_needed else f"more than {days}" if last else "-"
        table.add_row(name, *smallest, needed)
    return table


def _aa(result: "AaResult") -> Table:
    table = Table("metric", "one look", "one look's interval, every day", "interval for every day")
    for name, share in result.metrics.items():
        if not share.measured:
            table.add_row(name, "never measured", "-", "-")
            continue
        table.add_row(name, f"{share.fixed:.1%}", f"{share.peeking:.1%}", f"{share.always:.1%}")
    return table
