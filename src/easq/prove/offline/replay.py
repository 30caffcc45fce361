"""Replay a log through the learner: read, join, score, train, measure; resumable at any instant.

What a run leaves in its folder: `settings.toml` (every default written out), `metrics.json`, `tally.parquet`
(the sums behind the metrics), `scores.parquet` (every view's scores), `report.html`,
`parameters.safetensors`, `late.jsonl` (events that came to no example), `run.json` (times) and, while it
runs, `checkpoints/`.
"""

import contextlib
import fcntl
import gc
import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from easq.errors import InputError
from easq.home.snapshots import Snapshots, save_parameters
from easq.learn.trainer import Trainer, compute_alike
from easq.log.base import EventLog
from easq.log.events import EVENTS
from easq.log.mark import log_mark
from easq.model.method import method_of
from easq.prove.offline.progressive import Progressive
from easq.prove.offline.results import CollisionCounts, ReplayResult, ReplayTimes
from easq.prove.offline.tally import TALLY, Tally
from easq.prove.offline.truth import Truth
from easq.prove.offline.view_scores import SCORES, ViewScores
from easq.prove.report.write import write_report
from easq.recipe.read import SettingsWarning, read_kept_recipe, to_toml
from easq.recipe.recipe import Recipe

_BEGUN = Path("checkpoints", ".begun")
"""A file of an unfinished run that has learned something, be it only since its last checkpoint."""

Progress = Callable[[int, int], None]
"""Called with the events done and the events in all."""


class FinishedReplay(NamedTuple):
    """The result of a replay, its duration, and the sums behind its metrics."""

    result: ReplayResult
    times: ReplayTimes
    tally: Tally


class RunFolderError(InputError):
    """The output folder does not fit the run that was asked for."""


def replay(
    recipe: Recipe,
    log: EventLog,
    out: Path,
    resume: bool = False,
    truth: Path | None = None,
    on_progress: Progress = lambda *_: None,
) -> FinishedReplay:
    """Replay the whole log and return the results.

    With `resume` an unfinished run in `out` continues, to the same bytes. Raises RunFolderError if `out`
    holds something else, and InputError for events that do not fit the recipe.
    """
    with run_folder(recipe, out, resume):
        _prepare(recipe, out, resume)
        return _replay(recipe, log, out, truth, on_progress)


def _replay(
    recipe: Recipe, log: EventLog, out: Path, truth: Path | None, on_progress: Progress
) -> FinishedReplay:
    compute_alike(recipe.training.threads)
    with contextlib.closing(Truth(truth)) if truth else contextlib.nullcontext() as known:
        run = _Run(recipe, log, out, known)
        started, views_before = time.monotonic(), run.progressive.views
        with _rare_collection():
            run.go(on_progress)
        for name, number in sorted(run.trainer.encoder.unknown.items()):
            warnings.warn(
                f"{number:,} examples lack the feature {name!r}, which is unknown there",
                SettingsWarning,
                stacklevel=2,
            )
        seconds = time.monotonic() - started
        result = run.result()
    if run.scores is not None:
        run.scores.join(out / SCORES)
    run.progressive.tally.save(out / TALLY)
    (out / "metrics.json").write_text(
        json.dumps(msgspec.to_builtins(result), indent=1, sort_keys=True) + "\n"
    )
    save_parameters(out / "parameters.safetensors", run.trainer.learner.state())
    write_report([result], out / "report.html")
    views = run.progressive.views - views_before
    times = ReplayTimes(seconds, views / seconds if seconds else 0.0, run.trainer.newest_ms)
    (out / "run.json").write_text(json.dumps(msgspec.to_builtins(times)) + "\n")
    shutil.rmtree(out / "checkpoints")
    return FinishedReplay(result, times, run.progressive.tally)


@contextlib.contextmanager
def _rare_collection() -> Iterator[None]:
    """Collect garbage rarely: rows waiting in the join's windows hold no cycles, but each run walks them."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextlib.contextmanager
def run_folder(recipe: Recipe, out: Path, resume: bool) -> Iterator[None]:
    """Make the folder `out` and keep other processes from it; may be entered again within this process.

    Nothing in it changes: a finished run stays until a replay begins. An unfinished one that has learned
    something needs `resume`. Raises RunFolderError if `out` holds something else, or if another process
    replays into it.
    """
    _refuse_what_is_no_run(out)
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunFolderError(f"another process replays into {out}; wait for it or end it") from None
        _refuse_another_run(recipe, out, resume)
        yield


def _refuse_what_is_no_run(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{out} is a file; --out names a folder")
    names = {path.name for path in out.iterdir()} if out.exists() else set()
    if names and not names & {".lock", "settings.toml"}:
        raise RunFolderError(f"{out} holds something else than a run; choose another --out")


def holds_results(out: Path) -> bool:
    """Return whether a run in `out` is finished, or has learned something."""
    return (out / "metrics.json").exists() or _has_learned(out)


def _has_learned(out: Path) -> bool:
    """Return whether an unfinished run in `out` has come further than its start."""
    checkpoints = Snapshots(out / "checkpoints")
    return (out / _BEGUN).exists() or any(name != checkpoints.name(0) for name in checkpoints.names())


def _refuse_another_run(recipe: Recipe, out: Path, resume: bool) -> None:
    if not _has_learned(out):
        return
    if not resume:
        raise RunFolderError(f"{out} holds an unfinished run; --resume goes on with it, or remove the folder")
    if (before := _settings_of(recipe, out)) != recipe:
        new, old = to_toml(recipe).splitlines(), to_toml(before).splitlines()
        differing = [line for line in new if line not in old]
        raise RunFolderError(f"{out} was started with other settings: {'; '.join(differing) or 'fewer keys'}")


def _settings_of(recipe: Recipe, out: Path) -> Recipe:
    # Settings are compared, not their text: one that is new in easq has its default in an old file.
    return read_kept_recipe(out / "settings.toml", recipe.method.reader)


def _prepare(recipe: Recipe, out: Path, resume: bool) -> None:
    """Remove what another run has left, but for the checkpoints of one that goes on."""
    for name in ("metrics.json", "report.html", "parameters.safetensors", "run.json", SCORES, TALLY):
        (out / name).unlink(missing_ok=True)
    is_unfinished = (out / "checkpoints").exists()
    if is_unfinished and not _has_learned(out) and not (resume and _settings_of(recipe, out) == recipe):
        shutil.rmtree(out / "checkpoints")
    (out / "settings.toml").write_text(to_toml(recipe))


def _same_log(log: EventLog, until: list[int], mark: str | None, out: Path) -> str:
    """Return the log's mark. Raises RunFolderError if it differs from that of the run's checkpoint."""
    ends = log.end_offsets(EVENTS)
    is_whole = len(ends) == len(until) and all(end >= n for end, n in zip(ends, until, strict=True))
    found = log_mark(log, EVENTS, until) if is_whole else "another"
    if mark not in (None, found) or not is_whole:
        instead = "remove the folder" if _has_learned(out) else "leave out --resume"
        raise RunFolderError(f"{out} was started with another log; name that one, or {instead}")
    return found


def _view_scores(out: Path, notes: Mapping[str, Any] | None) -> ViewScores | None:
    """Return the writer of the views' scores; None goes on with a run that began before there were any."""
    if notes is not None and "score_parts" not in notes:
        return None
    return ViewScores(out / "checkpoints" / "scores", notes["score_parts"] if notes else 0)


class _Run:
    """The parts of one replay; `go` runs them and saves their state on disk."""

    def __init__(self, recipe: Recipe, log: EventLog, out: Path, truth: Truth | None) -> None:
        self._recipe, self._log = recipe, log
        self._checkpoints = Snapshots(out / "checkpoints")
        latest = self._checkpoints.latest()
        notes: dict[str, Any] = latest[1] if latest else {"until": log.end_offsets(EVENTS)}
        self._until: list[int] = notes["until"]
        self._mark = _same_log(log, self._until, notes.get("log"), out)
        self.trainer = Trainer(recipe, len(self._until))
        self.progressive = Progressive(recipe, truth)
        if latest:
            self.trainer.restore(latest[0]["trainer"])
            self.progressive.restore(latest[0]["progressive"])
        self.scores = _view_scores(out, notes if latest else None)
        self._begun_path, self._late_path = out / _BEGUN, out / "late.jsonl"
        self._is_begun = self._begun_path.exists()
        self._late_path.touch()
        with self._late_path.open("r+b") as late:
            late.truncate(notes.get("late_bytes", 0))

    def go(self, on_progress: Progress) -> None:
        """Read to the end, a checkpoint at the start and every so many steps."""
        total, every = sum(self._until), self._recipe.training.checkpoint_steps
        trainer = self.trainer
        with self._late_path.open("ab") as late:
            self._save(late.tell())
            saved = trainer.learner.step_count
            for _ in trainer.read(self._log, self._until):
                self._write_late(late)
                self._learn()
                if trainer.learner.step_count >= saved + every:
                    late.flush()
                    self._save(late.tell())
                    saved = trainer.learner.step_count
                on_progress(sum(trainer.offsets), total)
            trainer.close_windows()
            self._write_late(late)
        self._learn(flush=True)

    def result(self) -> ReplayResult:
        """Return the results in a reproducible order and form."""
        recipe = self._recipe
        rows = {slot.feature.name: slot.num_rows for side in self._sides() for slot in side}
        collisions = {
            name: CollisionCounts(
                rows[name], c.taken, c.lookups, c.collided / c.lookups if c.lookups else 0.0
            )
            for name, c in self.trainer.encoder.collisions.items()
        }
        return ReplayResult(
            name=recipe.name,
            method=recipe.method.kind,
            experts=method_of(recipe).num_experts,
            behaviors=[b.name for b in recipe.behaviors],
            question=recipe.question,
            steps=self.trainer.learner.step_count,
            log=self._mark,
            counts={"events": sum(self._until), **msgspec.to_builtins(self.trainer.counts)},
            collisions=collisions,
            **msgspec.structs.asdict(self.progressive.result()),
        )

    def _sides(self) -> tuple[Any, Any]:
        layout = self.trainer.encoder.layout
        return layout.viewer, layout.candidate

    def _learn(self, flush: bool = False) -> None:
        for step in self.trainer.train_steps(flush):
            if not self._is_begun:
                self._begun_path.touch()
                self._is_begun = True
            measured = self.progressive.observe(step)
            if self.scores is not None:
                self.scores.add(measured)

    def _write_late(self, late: Any) -> None:
        for event in self.trainer.take_late():
            late.write(msgspec.json.encode(event) + b"\n")

    def _save(self, late_bytes: int) -> None:
        notes: dict[str, Any] = {"until": self._until, "late_bytes": late_bytes, "log": self._mark}
        if self.scores is not None:
            self.scores.save()
            notes["score_parts"] = self.scores.num_parts
        state = {"trainer": self.trainer.state(), "progressive": self.progressive.state()}
        self._checkpoints.save(self.trainer.learner.step_count, state, notes)
