"""Execute a live step, or repeat a recorded one: a step is a function of the log and of its record."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from easq.learn.learner import StepResult
from easq.learn.publish import Changed
from easq.learn.trainer import Trainer
from easq.log.base import EventLog
from easq.log.events import STEPS, StepRecord

_READ = 512


def learn_until(
    trainer: Trainer, events: EventLog, until: Sequence[int], is_overdue: bool
) -> tuple[bool, list[StepResult]]:
    """Read up to `until` and learn; return whether incomplete batches were flushed, and the steps.

    Behavior waits for a whole batch unless it `is_overdue`; answers do not wait.
    """
    steps = _whole_batches(trainer, events, until)
    rows, answers = trainer.waiting
    flush = answers > 0 or (rows > 0 and is_overdue)
    if flush:
        steps += trainer.train_steps(flush=True)
    return flush, steps


def repeat(
    trainer: Trainer,
    events: EventLog,
    record: StepRecord,
    version: Callable[[str], Mapping[str, Any]],
    erasure: Callable[[int], Mapping[str, Any]],
) -> list[StepResult]:
    """Repeat a recorded step, to the same bytes.

    `version` returns a learner's state by name, `erasure` a trainer's state by the step that saved it.
    """
    if record.erased:
        trainer.restore(erasure(record.seq))
        return []
    if record.restore:
        trainer.learner.restore(version(record.restore))
        return []
    steps = _whole_batches(trainer, events, record.until)
    if record.flush:
        steps += trainer.train_steps(flush=True)
    return steps


def recorded(updates: EventLog, after: int) -> Iterator[StepRecord]:
    """Yield the recorded steps after step `after`, in order."""
    offset = after
    while records := updates.read(STEPS, 0, offset, _READ):
        for record in records:
            assert isinstance(record, StepRecord)
            assert record.seq == offset + 1, f"step {record.seq} stands at offset {offset}"
            yield record
            offset += 1


def touched_by(steps: Sequence[StepResult]) -> Changed:
    """Return what steps may have changed in the tables."""
    none = np.zeros(0, np.int64)
    return Changed(
        np.unique(np.concatenate([none, *(step.touched_U for step in steps)])),
        np.unique(np.concatenate([none, *(step.crosses_U for step in steps)])),
    )


def _whole_batches(trainer: Trainer, events: EventLog, until: Sequence[int]) -> list[StepResult]:
    steps: list[StepResult] = []
    for _ in trainer.read(events, until):
        steps += trainer.train_steps()
    return steps
