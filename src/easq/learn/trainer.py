"""The path from a log to parameters: read, join, batch, learn; with the state of every part.

A replay and a live learner both use it; they differ in how far they let it read, and when.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from easq.features.batch import Batcher, make_batch
from easq.features.examples import Counts, Late
from easq.features.join import build_joiner, flush_all
from easq.home.snapshots import Nested
from easq.learn.build import build_encoder, build_learner
from easq.learn.learner import StepResult
from easq.log.base import EventLog, TrimmedError
from easq.log.event_time import times_of
from easq.log.events import EVENTS, Answered, Event, Request
from easq.log.ids import stable_id
from easq.log.merge import MergedReader
from easq.recipe.assignment import arms_in
from easq.recipe.recipe import Recipe


def compute_alike(threads: int) -> None:
    """Make computation reproducible on this machine: a fixed number of threads, deterministic algorithms."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Deterministic mode would also fill memory that every operation here overwrites.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


class Trainer:
    """A learner with everything that feeds it.

    `offsets` tells how far each partition was read, `newest_answer` the time (ms) of the newest answer read.
    Its state is a function of the log, of how far it read each time, and of when it was flushed.
    """

    def __init__(self, recipe: Recipe, num_partitions: int) -> None:
        self._recipe = recipe
        self.encoder = build_encoder(recipe)
        self.learner = build_learner(recipe, self.encoder)
        self._batcher = Batcher(recipe.training.batch_rows, recipe.training.batch_answers)
        self._log: EventLog | None = None
        self._arms = frozenset(recipe.training.arms)
        self._joiners = [
            build_joiner(recipe, partial(self._reread, p), self._takes) for p in range(num_partitions)
        ]
        self.offsets = [0] * num_partitions
        self.newest_answer = 0
        self._times = times_of(self.offsets)

    @property
    def newest_ms(self) -> int:
        """How far the events that were read have come, in ms since 1970; 0 before the first."""
        return max(time.newest for time in self._times)

    def read(self, log: EventLog, until: Sequence[int]) -> Iterator[None]:
        """Read up to `until`, in event time; yields now and then, with `offsets` up to date."""
        self._log = log
        reader, at = MergedReader(log, EVENTS, until, self.offsets, self._times), list(self.offsets)
        for chunk in reader:
            for partition, event in chunk:
                if isinstance(event, Answered):
                    self.newest_answer = max(self.newest_answer, event.ts)
                examples = self._joiners[partition].push(event, at[partition])
                at[partition] += 1
                if examples:
                    self._batcher.add(examples)
            self.offsets, self._times = list(reader.offsets), [time.copy() for time in reader.times]
            yield

    def _takes(self, request: Request) -> bool:
        return not self._arms or not self._arms.isdisjoint(arms_in(request.arm))

    def _reread(self, partition: int, offset: int) -> Event | None:
        assert self._log is not None, "joiners reread only while a log is read"
        try:
            events = self._log.read(EVENTS, partition, offset, 1)
        except TrimmedError:
            return None
        return events[0] if events else None

    def close_windows(self) -> None:
        """Close the window of every open request, as at the end of a bounded log."""
        self._batcher.add(flush_all(self._joiners))

    def train_steps(self, flush: bool = False) -> Iterator[StepResult]:
        """Learn from every whole batch that waits, with `flush` also from an incomplete one."""
        recipe = self._recipe
        while examples := self._batcher.cut(flush):
            batch = make_batch(self.encoder, recipe.behaviors, recipe.order.cap, examples)
            yield self.learner.step(batch)

    @property
    def waiting(self) -> tuple[int, int]:
        """Numbers of viewed rows and of answers that wait for a step."""
        return self._batcher.waiting

    @property
    def counts(self) -> Counts:
        """Counts of the events read and of what became of them."""
        return sum((joiner.counts for joiner in self._joiners), Counts())

    def take_late(self) -> list[Late]:
        """Return the events since the last call that led to no example."""
        return [late for joiner in self._joiners for late in joiner.take_late()]

    def forget(self, users: Collection[str]) -> None:
        """Drop all waiting or buffered rows of viewers; what they trained stays in the parameters."""
        for joiner in self._joiners:
            joiner.forget(users)
        self._batcher.forget(users)
        self.learner.forget(np.array([stable_id(user) for user in users], np.int64))

    def set_back(self, latest_ms: int) -> None:
        """Take for `latest_ms` every later time of what waits and of how far the partitions have come."""
        for joiner in self._joiners:
            joiner.set_back(latest_ms)
        self._times = times_of([min(time.newest, latest_ms) for time in self._times])
        self.newest_answer = min(self.newest_answer, latest_ms)

    def state(self) -> Nested:
        """Return everything that later steps depend on; call `take_late` before."""
        newest, *ahead = np.array([time.state() for time in self._times]).T
        # A learner of before wrote no times ahead, and there hardly ever are any.
        reader = {"ahead": np.stack(ahead, 1)} if np.any(ahead) else {}
        return {
            "learner": self.learner.state(),
            "encoder": self.encoder.state(),
            "joiner": {str(p): _bytes(joiner.state()) for p, joiner in enumerate(self._joiners)},
            "batcher": {"queue": _bytes(self._batcher.state())},
            "reader": {"offsets": np.array(self.offsets), "newest": newest, **reader},
            "answer": {"newest": np.array([self.newest_answer])},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.learner.restore(state["learner"])
        self.encoder.restore(state["encoder"])
        self._batcher.restore(state["batcher"]["queue"].tobytes())
        for partition, joiner in enumerate(self._joiners):
            joiner.restore(state["joiner"][str(partition)].tobytes())
        self.offsets = [int(n) for n in state["reader"]["offsets"]]
        newest = [int(n) for n in state["reader"]["newest"]]
        self._times = times_of(newest, state["reader"].get("ahead", ()))
        self.newest_answer = int(state["answer"]["newest"][0])


def _bytes(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(data, np.uint8)
