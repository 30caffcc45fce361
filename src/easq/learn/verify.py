"""Repeat everything that a live learner ever did, from scratch, and compare the parameters byte by byte."""

from collections.abc import Callable, Collection
from typing import NamedTuple

from easq.errors import InputError
from easq.home.checksums import DamagedError
from easq.home.home import Home
from easq.home.snapshots import Nested, Snapshots, StoredState, copy_state, flatten
from easq.learn.publish import make_delta
from easq.learn.recorded_steps import recorded, repeat, touched_by
from easq.learn.trainer import Trainer, compute_alike
from easq.log.base import EventLog, LogError, TrimmedError
from easq.log.events import EVENTS, STEPS, UPDATES, Delta
from easq.log.ids import version_name

_READ = 64


class VerifyResult(NamedTuple):
    """Numbers of repeated steps and of compared artifacts, and the names of those that differ."""

    steps: int
    answers: int
    deltas: int
    versions: int
    checkpoints: int
    different: list[str]
    since: int = 0
    """The step of the last erasure: steps up to it cannot be repeated and were not compared."""


def verify(
    home: Home, events: EventLog, updates: EventLog, on_progress: Callable[[int, int], None] = lambda *_: None
) -> VerifyResult:
    """Repeat all recorded steps of a home in one undisturbed run, whatever kills and rollbacks it had.

    If events were erased, steps before the last erasure cannot be repeated, and the run starts from the state
    that the erasure saved. It compares the deltas that are still on the log and all stored versions and
    checkpoints. A running learner removes some and makes others: those present when their step is reached
    count. What is damaged, or cannot be repeated because of damage, is among the different. Raises InputError
    if versions or checkpoints are of steps that the log of updates does not hold, and LogError.
    """
    compute_alike(home.recipe.training.threads)
    trainer = Trainer(home.recipe, events.partitions(EVENTS))
    total = _num_steps(home, updates)
    published = _published(updates)
    since = max((record.seq for record in recorded(updates, 0) if record.erased), default=0)
    if since:
        trainer.restore(home.erasure(since))
    wanted = {record.restore for record in recorded(updates, since) if record.restore}
    found = _Comparison(home, trainer, wanted)
    found.compare_snapshots(since)
    done = since
    for record in recorded(updates, since):
        if record.seq > total and record.restore not in ("", *found.restorable):
            break  # since this run began, the learner went back to a version of which no copy was made
        try:
            steps = repeat(trainer, events, record, found.restorable.__getitem__, home.erasure)
        except (InputError, LogError):
            raise
        except Exception as error:  # whatever learning raises for events that it could learn before
            found.different.append(f"step {record.seq}, which cannot be repeated ({error!r})")
            break
        trainer.take_late()
        if steps and record.seq in published:
            delta = make_delta(trainer.learner, touched_by(steps), record.seq, 0, [], 0, 0)
            found.note("deltas", f"delta {record.seq}", delta.checksum == published[record.seq])
        found.compare_snapshots(record.seq)
        done = record.seq
        on_progress(done, max(done, total))
    answers = trainer.counts.answers - trainer.waiting[1]
    return VerifyResult(done - since, answers, **found.compared, different=found.different, since=since)


class _Comparison:
    """Counts what was compared with the state of a trainer, and the names of what differs.

    `restorable` are copies of the learner's state at the versions that are `wanted` for a rollback.
    """

    def __init__(self, home: Home, trainer: Trainer, wanted: Collection[str]) -> None:
        self._versions, self._checkpoints = home.versions, home.checkpoints
        self._trainer, self._wanted = trainer, wanted
        self.restorable: dict[str, Nested] = {}
        self.different: list[str] = []
        self.compared = {"deltas": 0, "versions": 0, "checkpoints": 0}

    def note(self, kind: str, name: str, is_same: bool) -> None:
        self.compared[kind] += 1
        if not is_same:
            self.different.append(name)

    def compare_snapshots(self, seq: int) -> None:
        """Compare the version and the checkpoint of a step, which the trainer has just done."""
        name, checkpoint = version_name(seq), self._checkpoints.name(seq)
        learner = self._trainer.learner
        if name in self._wanted:
            self.restorable[name] = copy_state(learner.state())
        if version := self._stored(self._versions, name):
            self.note("versions", name, _is_same(learner.state(), learner.upgraded(version)))
        if state := self._stored(self._checkpoints, checkpoint):
            today = {**state["trainer"], "learner": learner.upgraded(state["trainer"]["learner"])}
            self.note("checkpoints", checkpoint, _is_same(self._trainer.state(), today))

    def _stored(self, snapshots: Snapshots, name: str) -> StoredState | None:
        """Return a snapshot, or None if there is none, or it was removed or is damaged."""
        try:
            snapshots.notes(name)
            return snapshots.load(name)
        except DamagedError as error:
            self.different.append(f"{name} ({error})")
        except (InputError, OSError):
            pass
        return None


def _num_steps(home: Home, updates: EventLog) -> int:
    """Return the number of recorded steps. Raises InputError if the home holds a snapshot of a later one."""
    names = [*home.versions.names()[-1:], *home.checkpoints.names()[-1:]]
    newest = max((int("".join(filter(str.isdecimal, name))) for name in names), default=0)
    (total,) = updates.end_offsets(STEPS)
    if newest > total:
        raise InputError(
            f"updates.log of {home.folder} holds {total} steps, and the home has a version or a checkpoint "
            f"of step {newest}: the log was removed or replaced. Put it back; without it nothing is repeated"
        )
    return total


def _published(updates: EventLog) -> dict[int, int]:
    checksums: dict[int, int] = {}
    (offset,) = updates.start_offsets(UPDATES)
    while True:
        try:
            events = updates.read(UPDATES, 0, offset, _READ)
        except TrimmedError:  # the learner has just removed these
            (offset,) = updates.start_offsets(UPDATES)
            continue
        if not events:
            return checksums
        checksums |= {event.seq: event.checksum for event in events if isinstance(event, Delta)}
        offset += len(events)


def _is_same(state: Nested, stored: Nested) -> bool:
    # By bytes alone: on disk a single number is an array of one element.
    ours, theirs = flatten(state), flatten(stored)
    return ours.keys() == theirs.keys() and all(v.tobytes() == theirs[n].tobytes() for n, v in ours.items())
