"""The difference of two runs over the same views, with intervals that resample viewers of both together."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from easq.errors import InputError, SettingsError
from easq.model.method import read_method
from easq.prove.offline.results import ReplayResult
from easq.prove.offline.tally import TALLY, MetricValue, Tally
from easq.recipe.read import read_kept_recipe
from easq.recipe.recipe import Recipe

_SIMPLE = ("expert", "oracle")


class FinishedRun(NamedTuple):
    """A folder that `easq replay` wrote, with its result and settings; None: they cannot be read any more."""

    folder: Path
    result: ReplayResult
    recipe: Recipe | None


class PairedRuns(NamedTuple):
    """One run minus another by metric, and which metrics were left out because they differ in meaning."""

    run: Path
    over: Path
    metrics: dict[str, MetricValue]
    left_out: tuple[str, ...]


def read_run(folder: Path) -> FinishedRun:
    """Return the finished run in a folder. Raises InputError if there is none."""
    path, settings = folder / "metrics.json", folder / "settings.toml"
    if not path.exists():
        raise InputError(f"{folder} holds no metrics.json; is it the folder of a finished replay?")
    try:
        result = msgspec.json.decode(path.read_bytes(), type=ReplayResult)
    except msgspec.DecodeError as error:
        raise InputError(f"{path} is not the result of a replay: {error}") from None
    try:
        return FinishedRun(folder, result, read_kept_recipe(settings, read_method))
    except SettingsError:
        return FinishedRun(folder, result, None)


def check_same_views(first: FinishedRun, other: FinishedRun) -> None:
    """Raise InputError unless two runs replayed one log and mean the same by its views and answers."""
    one, two = first.result, other.result
    for name, ours, theirs in (
        ("log", one.log, two.log),
        ("events", one.counts.get("events"), two.counts.get("events")),
        ("views", one.views, two.views),
        ("answers", one.answers, two.answers),
        ("question", one.question, two.question),
        ("behaviors", _behaviors(first), _behaviors(other)),
    ):
        if ours != theirs and not (name == "log" and "" in (ours, theirs)):
            raise InputError(
                f"{other.folder} replayed other {name} than {first.folder}"
                f"{'' if name == 'log' else f': {theirs} and {ours}'}. Only runs of one log, with the same "
                "windows, behaviors and question, can be compared"
            )


def paired(first: FinishedRun, other: FinishedRun) -> PairedRuns | None:
    """Return the second run minus the first, after `check_same_views`.

    The intervals have the replicates, the confidence and the seed of the first run's settings. None if a run
    has kept no sums, because it is of an earlier easq.
    """
    if first.recipe is None or not all((run.folder / TALLY).exists() for run in (first, other)):
        return None
    tallies = []
    for run in (first, other):
        evaluation = first.recipe.evaluation
        tally = Tally(evaluation.replicates, evaluation.confidence, first.recipe.seed)
        tally.load(run.folder / TALLY)
        tallies.append(tally)
    ours, theirs = tallies
    simple = {*_SIMPLE, *first.result.lead, *other.result.lead}
    names = [
        n
        for n in first.result.metrics
        if n in other.result.metrics and n.count("/") < 2 and n.partition("/")[0] not in simple
    ]
    has_other_levels = _levels(first) != _levels(other)
    left_out = tuple(n for n in sorted(names) if has_other_levels and n == "pair_accuracy")
    metrics = {n: MetricValue.of(theirs.difference(ours, n)) for n in sorted(names) if n not in left_out}
    return PairedRuns(other.folder, first.folder, metrics, left_out)


def _behaviors(run: FinishedRun) -> list[str]:
    if run.recipe is None:
        return run.result.behaviors
    return [f"{behavior.name} at least {behavior.at_least:g}" for behavior in run.recipe.behaviors]


def _levels(run: FinishedRun) -> object:
    """Return what makes the order of a request's views in which `pair_accuracy` counts pairs."""
    recipe = run.recipe
    return recipe and ([behavior.weight for behavior in recipe.behaviors], recipe.order.cap)
