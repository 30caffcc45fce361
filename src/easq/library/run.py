"""Fitting a recipe to a log, and what the run is good for: scores and a report."""

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from easq.errors import InputError, InputWarning
from easq.library.frames import Table, frame_of, toml_file
from easq.library.run_report import MetricAgainst, RunReport
from easq.library.scratch import PREFIX, new_folder, remove_with
from easq.library.view_log import ViewLog, open_log
from easq.log.sqlite import SqliteLog
from easq.model.method import read_method
from easq.prove.offline import paired_runs
from easq.prove.offline.replay import replay
from easq.prove.offline.tally import MetricValue
from easq.rank.frame_scorer import SCORE, FrameScorer
from easq.rank.run_model import read_run
from easq.recipe.read import read_recipe
from easq.recipe.recipe import Recipe

_BATCH = 65_536


class Run:
    """A recipe that was fitted to a log.

    folder   what the run wrote: metrics.json, report.html, parameters, settings. One that was made without
             `out` is removed with this object.
    method   the name of the method.
    """

    def __init__(self, folder: Path) -> None:
        self._finished = paired_runs.read_run(folder)
        self._result = self._finished.result
        self.folder, self.method = folder, self._result.method

    def __repr__(self) -> str:
        """Return the method, what it learned from and the folder."""
        views, answers = self._result.views, self._result.answers
        return f"<Run {self.method}: {views:,} views, {answers:,} answers, {self.folder}>"

    def score(self, candidates: Table) -> NDArray[np.float32]:
        """Return a score for each row, higher for what ranks higher within one viewer's rows.

        The table has the columns user_id and item_id, and columns named like the recipe's features; it is a
        frame or the path of a Parquet file. A feature without a column is unknown for every row, and an
        InputWarning names it. Raises InputError, naming the column, for a value that its feature cannot have.
        """
        table = frame_of(candidates, "candidates")
        if lacking := self._scorer.check(table.columns):
            warnings.warn(
                f"candidates: no column for {', '.join(lacking)}: unknown for every row",
                InputWarning,
                stacklevel=2,
            )
        parts = [self._scorer.score(table[start : start + _BATCH]) for start in range(0, len(table), _BATCH)]
        scores = [part[SCORE].to_numpy() for part in parts]
        return np.concatenate([np.empty(0, np.float32), *scores])

    def report(self, against: "str | Run | None" = None) -> RunReport:
        """Return the run's metrics beside those of a reference, with paired differences.

        `against` is `popularity`, `random`, the feature of the recipe's `[reference]`, or another run of the
        same log. Not given: the `[reference]`, or else popularity. Raises InputError for a reference that was
        not measured, and for a run of another log.
        """
        if isinstance(against, Run):
            return self._beside(against)
        lead, metrics = self._result.lead, self._result.metrics
        name = against if against is not None else next(iter([*self._own_score(), *lead]), "")
        if name not in lead:
            allowed = ", ".join([*lead, "another Run"])
            raise InputError(f"against: got {against!r}; allowed for this run: {allowed}")
        measured = {m: (metrics[f"{name}/{m}"], difference) for m, difference in lead[name].items()}
        return self._report(name, measured)

    @cached_property
    def _scorer(self) -> FrameScorer:
        model = read_run(self.folder)
        return FrameScorer(model.recipe, model.parameters)

    def _own_score(self) -> list[str]:
        return [name for name in self._result.lead if name not in ("popularity", "random")]

    def _beside(self, other: "Run") -> RunReport:
        paired_runs.check_same_views(other._finished, self._finished)
        pair = paired_runs.paired(other._finished, self._finished)
        if pair is None:
            raise InputError("against: got a run of an earlier easq, which kept no sums; fit it again")
        measured = {m: (other._result.metrics[m], difference) for m, difference in pair.metrics.items()}
        name = other.method if other.method != self.method else f"{other.method} (other)"
        return self._report(name, measured)

    def _report(self, against: str, measured: Mapping[str, tuple[MetricValue, MetricValue]]) -> RunReport:
        result = self._result
        return RunReport(
            method=result.method,
            against=against,
            views=result.views,
            answers=result.answers,
            confidence=result.confidence,
            metrics={m: MetricAgainst(result.metrics[m], *pair) for m, pair in measured.items()},
        )


def fit(
    recipe: str | Path | Mapping[str, Any],
    log: ViewLog | str | Path,
    *,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> Run:
    """Learn a whole log in the order of time, and measure every score from before it was learned.

    recipe      a TOML file, the name of a packaged recipe such as `recommended`, or the content as a dict.
    log         what `read_table` or `open_log` returned, or the path of a log.
    out         the run's folder; a finished run in it is replaced. Not given: a temporary one.
    overrides   changes such as `method.behavior_budget=0.02`.

    Equal recipes and logs give equal bytes on one machine. Raises InputError for a recipe that cannot be used
    and for events that do not fit it.
    """
    opened = log if isinstance(log, ViewLog) else open_log(log)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as scratch:
        path = toml_file(recipe, "recipe", Path(scratch) / "recipe.toml")
        settings = read_recipe(path, overrides, methods=read_method)
    if out is not None:
        return _fitted(settings, opened, Path(out))
    with new_folder() as folder:
        run = _fitted(settings, opened, folder)
    remove_with(run, folder)
    return run


def _fitted(recipe: Recipe, log: ViewLog, folder: Path) -> Run:
    with SqliteLog(log.path, read_only=True) as events, _torch_as_before():
        replay(recipe, events, folder)
    return Run(folder)


def open_run(folder: str | Path) -> Run:
    """Return the run that `fit` or `easq replay` left in a folder. Raises InputError if it holds none."""
    return Run(Path(folder))


@contextmanager
def _torch_as_before() -> Iterator[None]:
    """Give the caller's process back the settings of torch that learning changes."""
    # The types that torch comes with leave this module out.
    threads, is_strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(is_strict)
        torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]
