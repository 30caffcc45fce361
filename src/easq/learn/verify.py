"""Repeat everything that a live learner ever did, from scratch, and compare the parameters byte by byte."""

from collections.abc import Callable
from typing import NamedTuple

from easq.errors import InputError
from easq.home.home import Home
from easq.home.snapshots import Nested, Snapshots, StoredState, copy_state, flatten
from easq.learn.publish import make_delta
from easq.learn.recorded_steps import recorded, repeat, touched_by
from easq.learn.trainer import Trainer, compute_alike
from easq.log.base import EventLog, TrimmedError
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
    count.
    """
    compute_alike(home.recipe.training.threads)
    trainer = Trainer(home.recipe, events.partitions(EVENTS))
    (total,) = updates.end_offsets(STEPS)
    published = _published(updates)
    since = max((record.seq for record in recorded(updates, 0) if record.erased), default=0)
    if since:
        trainer.restore(home.erasure(since))
    wanted = {record.restore for record in recorded(updates, since) if record.restore}
    versions, checkpoints = home.versions, home.checkpoints
    restorable: dict[str, Nested] = {}
    different: list[str] = []
    compared = {"deltas": 0, "versions": 0, "checkpoints": 0}

    def note(kind: str, name: str, is_same: bool) -> None:
        compared[kind] += 1
        if not is_same:
            different.append(name)

    def compare_snapshots(seq: int) -> None:
        name, checkpoint = version_name(seq), checkpoints.name(seq)
        if name in wanted:
            restorable[name] = copy_state(trainer.learner.state())
        if version := _stored(versions, name):
            note("versions", name, _is_same(trainer.learner.state(), trainer.learner.upgraded(version)))
        if state := _stored(checkpoints, checkpoint):
            today = {**state["trainer"], "learner": trainer.learner.upgraded(state["trainer"]["learner"])}
            note("checkpoints", checkpoint, _is_same(trainer.state(), today))

    compare_snapshots(since)
    done = since
    for record in recorded(updates, since):
        if record.seq > total and record.restore not in ("", *restorable):
            break  # since this run began, the learner went back to a version of which no copy was made
        steps = repeat(trainer, events, record, restorable.__getitem__, home.erasure)
        trainer.take_late()
        if steps and record.seq in published:
            delta = make_delta(trainer.learner, touched_by(steps), record.seq, 0, [], 0, 0)
            note("deltas", f"delta {record.seq}", delta.checksum == published[record.seq])
        compare_snapshots(record.seq)
        done = record.seq
        on_progress(done, max(done, total))
    answers = trainer.counts.answers - trainer.waiting[1]
    return VerifyResult(done - since, answers, **compared, different=different, since=since)


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


def _stored(snapshots: Snapshots, name: str) -> StoredState | None:
    """Return a snapshot, or None if there is none or it was removed."""
    try:
        return snapshots.load(name)
    except (InputError, OSError):
        return None


def _is_same(state: Nested, stored: Nested) -> bool:
    # By bytes alone: on disk a single number is an array of one element.
    ours, theirs = flatten(state), flatten(stored)
    return ours.keys() == theirs.keys() and all(v.tobytes() == theirs[n].tobytes() for n, v in ours.items())
