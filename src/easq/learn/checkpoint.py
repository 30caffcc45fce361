"""Checkpoints: one directory a checkpoint, there whole or not at all.

Everything that the future of a run depends on is named arrays (`State`). They are written beside
their final place, forced to disk and renamed, so a kill at any instant leaves the last whole one.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from easq.learn.learner import State

_KEPT = 2


class Checkpoints:
    """The checkpoints of one run, in `folder`; the last two are kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in folder.glob(".tmp-*"):
            shutil.rmtree(unfinished)

    def save(self, step: int, state: State, notes: dict[str, Any]) -> None:
        """Write a checkpoint of `step`; it exists when this returns, and never half."""
        unfinished = self._folder / f".tmp-{step:012d}"
        unfinished.mkdir()
        arrays = {name: np.ascontiguousarray(value) for name, value in state.items()}
        save_file(arrays, unfinished / "state.safetensors")
        (unfinished / "notes.json").write_text(json.dumps(notes))
        for path in (*unfinished.iterdir(), unfinished):
            _force_to_disk(path)
        final = self._folder / f"step-{step:012d}"
        if final.exists():
            shutil.rmtree(final)
        unfinished.rename(final)
        _force_to_disk(self._folder)
        for old in self._all()[:-_KEPT]:
            shutil.rmtree(old)

    def latest(self) -> tuple[State, dict[str, Any]] | None:
        """Return state and notes of the newest checkpoint, None when there is none."""
        found = self._all()
        if not found:
            return None
        return load_file(found[-1] / "state.safetensors"), json.loads((found[-1] / "notes.json").read_text())

    def _all(self) -> list[Path]:
        return sorted(self._folder.glob("step-*"))


def save_parameters(path: Path, state: State) -> None:
    """Write the parameters of a learner's state, without optimizer and buffer."""
    kept = {n: np.ascontiguousarray(v) for n, v in state.items() if n.startswith(("dense.", "table.weight"))}
    save_file(kept, path)


def _force_to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
