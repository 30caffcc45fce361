"""Replay a log through the learner: read, join, score, train, measure; resumable at any instant.

What a run leaves in its folder: `settings.toml` (every default written out), `metrics.json`,
`report.html`, `parameters.safetensors`, `late.jsonl` (events that came to no example), `run.json`
(times) and, while it runs, `checkpoints/`.
"""

import contextlib
import fcntl
import gc
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from easq.batch import Batcher, make_batch
from easq.errors import InputError
from easq.events import EVENTS
from easq.join import Counts, Example, flush_all
from easq.learn.builder import build_encoder, build_joiner, build_learner
from easq.learn.checkpoint import Checkpoints, save_parameters
from easq.learn.learner import State
from easq.log.base import EventLog
from easq.log.merge import MergedReader
from easq.prove.progressive import Progressive
from easq.prove.report.write import write_report
from easq.prove.tally import Tally
from easq.prove.truth import Truth
from easq.schema import Recipe
from easq.settings import to_toml

Progress = Callable[[int, int], None]
"""Hears of events done and events in all."""


class RunFolderError(InputError):
    """The output folder does not fit the run that was asked for."""


def replay(
    recipe: Recipe,
    log: EventLog,
    out: Path,
    resume: bool = False,
    truth: Path | None = None,
    on_progress: Progress = lambda *_: None,
) -> tuple[dict[str, Any], Tally]:
    """Replay the whole log and return the results, as `metrics.json` holds them, and their sums.

    With `resume` an unfinished run in `out` goes on, to the same bytes. Raises RunFolderError when
    `out` holds something else, and InputError for events that do not fit the recipe.
    """
    with run_folder(recipe, out, resume):
        return _replay(recipe, log, out, truth, on_progress)


def _replay(
    recipe: Recipe, log: EventLog, out: Path, truth: Path | None, on_progress: Progress
) -> tuple[dict[str, Any], Tally]:
    torch.set_num_threads(recipe.training.threads)
    torch.use_deterministic_algorithms(True)
    # Deterministic mode would also fill memory that every operation here overwrites.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    with contextlib.closing(Truth(truth)) if truth else contextlib.nullcontext() as known:
        run = _Run(recipe, log, out, known)
        started, views_before = time.monotonic(), run.progressive.views
        with _rare_collection():
            run.go(on_progress)
        seconds = time.monotonic() - started
        result = run.result()
    (out / "metrics.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    save_parameters(out / "parameters.safetensors", run.learner.state())
    write_report([result], out / "report.html")
    views = run.progressive.views - views_before
    times = {"seconds": seconds, "views_per_second": views / seconds if seconds else 0.0}
    (out / "run.json").write_text(json.dumps(times) + "\n")
    shutil.rmtree(out / "checkpoints")
    return {**result, **times}, run.progressive.tally


@contextlib.contextmanager
def _rare_collection() -> Iterator[None]:
    """Collect garbage seldom: what waits in the join's windows holds no cycles, but is walked each time."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextlib.contextmanager
def run_folder(recipe: Recipe, out: Path, resume: bool) -> Iterator[None]:
    """Make `out` ready and keep other processes from it; may be entered again within this process.

    A finished run gives way, an unfinished one only goes on with `resume`. Raises RunFolderError when
    `out` holds something else, or when another process replays into it.
    """
    _refuse_what_is_no_run(out)
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunFolderError(f"another process replays into {out}; wait for it or end it") from None
        _prepare(recipe, out, resume)
        yield


def _refuse_what_is_no_run(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{out} is a file; --out names a folder")
    names = {path.name for path in out.iterdir()} if out.exists() else set()
    if names and not names & {".lock", "settings.toml"}:
        raise RunFolderError(f"{out} holds something else than a run; choose another --out")


def _prepare(recipe: Recipe, out: Path, resume: bool) -> None:
    settings, resolved = out / "settings.toml", to_toml(recipe)
    unfinished = (out / "checkpoints").exists()
    if unfinished and not resume:
        raise RunFolderError(f"{out} holds an unfinished run; --resume goes on with it, or remove the folder")
    if unfinished and settings.read_text() != resolved:
        given, kept = resolved.splitlines(), settings.read_text().splitlines()
        differing = [line for line in given if line not in kept]
        raise RunFolderError(f"{out} was started with other settings: {'; '.join(differing) or 'fewer keys'}")
    for name in ("metrics.json", "report.html", "parameters.safetensors", "run.json"):
        (out / name).unlink(missing_ok=True)
    settings.write_text(resolved)


class _Run:
    """The parts of one replay; `go` drives them and keeps their state on disk."""

    def __init__(self, recipe: Recipe, log: EventLog, out: Path, truth: Truth | None) -> None:
        self._recipe = recipe
        self._encoder = build_encoder(recipe)
        self.learner = build_learner(recipe, self._encoder)
        self._batcher = Batcher(recipe.training.batch_rows, recipe.training.batch_answers)
        self.progressive = Progressive(recipe, truth)
        self._checkpoints = Checkpoints(out / "checkpoints")
        latest = self._checkpoints.latest()
        notes: dict[str, Any] = latest[1] if latest else {"until": log.end_offsets(EVENTS)}
        self._until: list[int] = notes["until"]
        self._joiners = [build_joiner(recipe) for _ in self._until]
        self._reader = MergedReader(log, EVENTS, self._until, notes.get("offsets"), notes.get("newest"))
        if latest:
            self._restore(latest[0])
        self._late_path = out / "late.jsonl"
        self._late_path.touch()
        with self._late_path.open("r+b") as late:
            late.truncate(notes.get("late_bytes", 0))

    def go(self, on_progress: Progress) -> None:
        """Read to the end, a checkpoint at the start and every so many steps."""
        total, every = sum(self._until), self._recipe.training.checkpoint_steps
        with self._late_path.open("ab") as late:
            self._save(late.tell())
            saved = self.learner.steps
            for chunk in self._reader:
                for partition, event in chunk:
                    examples = self._joiners[partition].push(event)
                    if examples:
                        self._batcher.add(examples)
                self._write_late(late)
                while examples := self._batcher.cut():
                    self._step(examples)
                if self.learner.steps >= saved + every:
                    late.flush()
                    self._save(late.tell())
                    saved = self.learner.steps
                on_progress(sum(self._reader.offsets), total)
            self._batcher.add(flush_all(self._joiners))
            self._write_late(late)
        while examples := self._batcher.cut(final=True):
            self._step(examples)

    def result(self) -> dict[str, Any]:
        """Return what the run has shown, in an order and a form that are the same every time."""
        recipe, counts = self._recipe, sum((joiner.counts for joiner in self._joiners), Counts())
        is_aligned = recipe.model.method != "behavior"
        rows = {slot.feature.name: slot.num_rows for side in self._sides() for slot in side}
        collisions = {
            name: {
                "rows": rows[name],
                "taken": c.taken,
                "lookups": c.lookups,
                "collided_share": c.collided / c.lookups if c.lookups else 0.0,
            }
            for name, c in self._encoder.collisions.items()
        }
        return {
            "name": recipe.name,
            "method": recipe.model.method,
            "experts": [recipe.model.experts, is_aligned * recipe.model.satisfaction_experts],
            "behaviors": [b.name for b in recipe.behaviors],
            "question": msgspec.to_builtins(recipe.question),
            "steps": self.learner.steps,
            "counts": {"events": sum(self._until), **msgspec.to_builtins(counts)},
            "collisions": collisions,
            **self.progressive.result(),
        }

    def _sides(self) -> tuple[Any, Any]:
        return self._encoder.layout.viewer, self._encoder.layout.candidate

    def _step(self, examples: list[Example]) -> None:
        recipe = self._recipe
        batch = make_batch(self._encoder, recipe.behaviors, recipe.order.cap, examples)
        self.progressive.observe(self.learner.step(batch))

    def _write_late(self, late: Any) -> None:
        for joiner in self._joiners:
            for event in joiner.take_late():
                late.write(msgspec.json.encode(event) + b"\n")

    def _save(self, late_bytes: int) -> None:
        parts: dict[str, State] = {
            "learner": self.learner.state(),
            "encoder": self._encoder.state(),
            "progressive": self.progressive.state(),
            "joiner": {str(p): _bytes(joiner.state()) for p, joiner in enumerate(self._joiners)},
            "batcher": {"queue": _bytes(self._batcher.state())},
        }
        state = {f"{part}:{name}": value for part, values in parts.items() for name, value in values.items()}
        notes = {
            "until": self._until,
            "offsets": self._reader.offsets,
            "newest": self._reader.newest,
            "late_bytes": late_bytes,
        }
        self._checkpoints.save(self.learner.steps, state, notes)

    def _restore(self, state: State) -> None:
        def part(name: str) -> State:
            return {n[len(name) + 1 :]: v for n, v in state.items() if n.startswith(f"{name}:")}

        self.learner.restore(part("learner"))
        self._encoder.restore(part("encoder"))
        self.progressive.restore(part("progressive"))
        self._batcher.restore(state["batcher:queue"].tobytes())
        for partition, joiner in enumerate(self._joiners):
            joiner.restore(state[f"joiner:{partition}"].tobytes())


def _bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)
