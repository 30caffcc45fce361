"""Do everything that a live learner ever did again, from nothing, and compare the parameters to the byte."""

from collections.abc import Callable
from typing import Any, NamedTuple

from easq.errors import InputError
from easq.home.home import Home
from easq.home.snapshots import Nested, Snapshots, copy_state, flatten
from easq.learn.publish import make_delta
from easq.learn.recorded_steps import recorded, repeat, touched_by
from easq.learn.trainer import Trainer, compute_alike
from easq.log.base import EventLog, TrimmedError
from easq.log.events import EVENTS, STEPS, UPDATES, Delta
from easq.log.ids import version_name

_READ = 64


class VerifyResult(NamedTuple):
    """What was repeated, what it could be compared with, and what came out otherwise."""

    steps: int
    answers: int
    deltas: int
    versions: int
    checkpoints: int
    different: list[str]
    since: int = 0
    """The step of the last erasure: those up to it cannot be repeated, so these were not compared."""


def verify(
    home: Home, events: EventLog, updates: EventLog, on_progress: Callable[[int, int], None] = lambda *_: None
) -> VerifyResult:
    """Repeat all recorded steps of a home, killed and rolled back or not, in one undisturbed run.

    Where events were erased, the steps before cannot be repeated, and it begins from what the last erasure
    left. Compared are the deltas that are still on the log, the versions and the checkpoints that are kept.
    While the learner runs it removes some and makes others: those at hand when their step is reached count.
    """
    compute_alike(home.recipe.training.threads)
    trainer = Trainer(home.recipe, events.partitions(EVENTS))
    (total,) = updates.end_offsets(STEPS)
    published = _published(updates)
    since = max((taken.seq for taken in recorded(updates, 0) if taken.erased), default=0)
    if since:
        trainer.restore(home.erasure(since))
    wanted = {taken.restore for taken in recorded(updates, since) if taken.restore}
    versions, checkpoints = home.versions, home.checkpoints
    restorable: dict[str, Nested] = {}
    different: list[str] = []
    compared = {"deltas": 0, "versions": 0, "checkpoints": 0}

    def note(kind: str, name: str, is_same: bool) -> None:
        compared[kind] += 1
        if not is_same:
            different.append(name)

    def look(seq: int) -> None:
        name, checkpoint = version_name(seq), checkpoints.name(seq)
        if name in wanted:
            restorable[name] = copy_state(trainer.learner.state())
        if version := _kept(versions, name):
            stored = trainer.learner.upgraded(version)
            note("versions", name, _is_same(trainer.learner.state(), stored))
        if state := _kept(checkpoints, checkpoint):
            stored = {**state["trainer"], "learner": trainer.learner.upgraded(state["trainer"]["learner"])}
            note("checkpoints", checkpoint, _is_same(trainer.state(), stored))

    look(since)
    done = since
    for taken in recorded(updates, since):
        if taken.seq > total and taken.restore not in ("", *restorable):
            break  # it went back, since this began, to a version of which no copy was made
        steps = repeat(trainer, events, taken, restorable.__getitem__, home.erasure)
        trainer.take_late()
        if steps and taken.seq in published:
            delta = make_delta(trainer.learner, touched_by(steps), taken.seq, 0, [], 0, 0)
            note("deltas", f"delta {taken.seq}", delta.checksum == published[taken.seq])
        look(taken.seq)
        done = taken.seq
        on_progress(done, max(done, total))
    answers = trainer.counts.answers - trainer.waiting[1]
    return VerifyResult(done - since, answers, **compared, different=different, since=since)


def _published(updates: EventLog) -> dict[int, int]:
    found: dict[int, int] = {}
    (offset,) = updates.start_offsets(UPDATES)
    while True:
        try:
            events = updates.read(UPDATES, 0, offset, _READ)
        except TrimmedError:  # the learner has just removed these
            (offset,) = updates.start_offsets(UPDATES)
            continue
        if not events:
            return found
        found |= {event.seq: event.checksum for event in events if isinstance(event, Delta)}
        offset += len(events)


def _kept(snapshots: Snapshots, name: str) -> dict[str, Any] | None:
    """Return a snapshot, None where there is none or none any more."""
    try:
        return snapshots.load(name)
    except (InputError, OSError):
        return None


def _is_same(state: Nested, stored: Nested) -> bool:
    # By bytes alone: on disk a single number is an array of one.
    ours, theirs = flatten(state), flatten(stored)
    return ours.keys() == theirs.keys() and all(v.tobytes() == theirs[n].tobytes() for n, v in ours.items())
