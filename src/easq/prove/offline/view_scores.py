"""Scores of every view, from before it was learned, as they stream: `scores.parquet` in a run's folder.

One row is one exposed view: `request_id`, `item_id` and `user_id` as the log names them, `ts` (ms, of the
request), `score` (what was served), `behavior_score` (what behavior trains) and `satisfaction` (the estimate,
which a view has if an answer about its request came first; else null). Rows stand in the order of learning.

Rows are kept until there are `_PART_ROWS`, or a checkpoint, and then become a part beside the checkpoints.
The end of a run joins the parts, so the file does not depend on where they were cut.

Shapes: M viewed rows.
"""

from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl

from easq.features.batch import Batch
from easq.home.files import force_to_disk
from easq.learn.learner import StepResult

SCORES = "scores.parquet"
_PART_ROWS = 1 << 17
_GROUP_ROWS = 1 << 16
_SCHEMA = {
    "request_id": pl.String,
    "item_id": pl.String,
    "user_id": pl.String,
    "ts": pl.Int64,
    "score": pl.Float32,
    "behavior_score": pl.Float32,
    "satisfaction": pl.Float32,
}


class ViewScores:
    """Writes parts into `folder`; the first `num_parts` of an earlier process stay, others are removed."""

    def __init__(self, folder: Path, num_parts: int = 0) -> None:
        self._folder, self.num_parts = folder, num_parts
        self._waiting: list[pl.DataFrame] = []
        self._num_waiting = 0
        for path in folder.glob("*"):
            if path.stem not in {f"{number:09d}" for number in range(num_parts)}:
                path.unlink()

    def add(self, step: StepResult) -> None:
        """Add the viewed rows of a step, whose scores are first ones (prove/offline/first_scores.py)."""
        num = step.batch.num_viewed
        if not num:
            return
        behavior_N = step.served_N if step.behavior_N is None else step.behavior_N
        columns = {
            **_names(step.batch),
            "score": step.served_N[:num],
            "behavior_score": behavior_N[:num],
            "satisfaction": step.satisfaction_M,
        }
        rows = pl.DataFrame(columns, schema=_SCHEMA)
        self._waiting.append(rows.with_columns(pl.col("satisfaction").fill_nan(None)))
        self._num_waiting += num
        if self._num_waiting >= _PART_ROWS:
            self.save()

    def save(self) -> None:
        """Write what waits as a part that outlasts a power cut; a checkpoint may then count on it."""
        if not self._waiting:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(self.num_parts)
        unfinished = path.with_suffix(".tmp")
        pl.concat(self._waiting).write_parquet(unfinished, compression="zstd")
        force_to_disk(unfinished)
        unfinished.rename(path)
        force_to_disk(self._folder)
        self._waiting.clear()
        self._num_waiting = 0
        self.num_parts += 1

    def join(self, path: Path) -> None:
        """Write all rows to one file; memory holds a few row groups of it."""
        self.save()
        parts = [self._path(number) for number in range(self.num_parts)]
        rows = pl.scan_parquet(parts) if parts else pl.LazyFrame(schema=_SCHEMA)
        rows.sink_parquet(path, compression="zstd", row_group_size=_GROUP_ROWS, maintain_order=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:09d}.parquet"


def _names(batch: Batch) -> dict[str, pl.Series]:
    """Return what the log calls each viewed row's request, item and viewer, and when it was."""
    request_M = batch.rows.request_N[: batch.num_viewed]
    start_B = np.cumsum([0, *(len(r.items) for r in batch.requests)])
    items = pl.Series(list(chain.from_iterable(r.items for r in batch.requests)), dtype=pl.String)
    users = pl.Series([r.user_id for r in batch.requests], dtype=pl.String)
    return {
        "request_id": pl.Series(batch.request_ids, dtype=pl.String).gather(request_M),
        "item_id": items.gather(start_B[request_M] + batch.position_N[: batch.num_viewed]),
        "user_id": users.gather(request_M),
        "ts": pl.Series(batch.ts_B[request_M]),
    }
