"""The live learner: follow the log, learn in small steps, record each step and publish its changes.

The order of writes makes every kill harmless. A step is computed, then recorded, then published. A step
that was not recorded never happened: the next process reads its events again and may cut them differently.
A recorded step is repeated from the last checkpoint, to the same bytes, and published if it was not yet.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable

import structlog

from easq.errors import InputError
from easq.home.home import Home
from easq.home.snapshots import JsonObject, Nested
from easq.learn.checkpointer import Checkpointer
from easq.learn.journal import Journal
from easq.learn.learner import NonFiniteLossError, StepResult
from easq.learn.publish import Publisher, make_delta
from easq.learn.recorded_steps import learn_until, repeat, touched_by
from easq.learn.rollback_guard import RollbackGuard
from easq.learn.schedule import Schedule
from easq.learn.trainer import Trainer, compute_alike
from easq.learn.trend import Trend
from easq.log.base import EventLog
from easq.log.events import EVENTS, StepRecord
from easq.log.mark import time_mark
from easq.model.answer_signals import alarms

_IDLE_S = 0.25

logger = structlog.get_logger()


class LiveLearner:
    """The learner of one home: `recover`, then `tick` again and again; `run` does both.

    `seconds` is a monotonic clock and decides when things happen. `wall_seconds`, which may be set back, is
    the time that is written down.
    """

    def __init__(
        self,
        home: Home,
        events: EventLog,
        updates: EventLog,
        seconds: Callable[[], float] = time.monotonic,
        wall_seconds: Callable[[], float] = time.time,
    ) -> None:
        self._home, self._events = home, events
        self._wall_seconds = wall_seconds
        self._live = live = home.recipe.live
        compute_alike(home.recipe.training.threads)
        self.trainer = Trainer(home.recipe, events.partitions(EVENTS))
        self._guard = RollbackGuard(live.guard_share, live.guard_recent_pairs, live.guard_level_pairs)
        self._publisher = Publisher.open(updates)
        self._checkpointer = Checkpointer(home, self._publisher)
        self._journal, self._schedule, self._trend = Journal(updates), Schedule(live, seconds), Trend()
        self._tied: list[str] = []
        self._dead: list[str] = []
        self._unknown: set[str] = set()
        self._keeps_log = True

    @property
    def seq(self) -> int:
        """The number of the last step."""
        return self._journal.seq

    def run(self, stop: threading.Event) -> None:
        """Learn until `stop` is set, then leave a checkpoint."""
        self.recover()
        while not stop.is_set():
            if self._tick_or_stop():
                stop.wait(self._schedule.pause_s)
            else:
                self._events.wait(EVENTS, self.trainer.offsets, _IDLE_S)
        self.close()

    def _tick_or_stop(self) -> bool:
        try:
            return self.tick()
        except NonFiniteLossError as error:
            # What this step has changed exists only in this process, which ends.
            logger.critical("the learner stops", reason=str(error), seq=self.seq)
            raise

    def close(self) -> None:
        """Leave a checkpoint of the current state."""
        self._save_checkpoint()
        self._checkpointer.close()
        self._home.write_status("learner", self.status())

    def recover(self) -> None:
        """Continue exactly where the last process stopped: its checkpoint, then the steps recorded since."""
        journal = self._journal
        if latest := self._home.checkpoints.latest(_tell_damaged):
            state, notes = latest
            self.trainer.restore(state["trainer"])
            self._guard.restore(state["guard"])
            journal.seq, journal.commands = notes["seq"], notes["commands"]
            journal.restored = notes["restored"]
            self._publisher.last = max(self._publisher.last, notes["last"])
        self._check_logs()
        if latest:
            self._check_same_log(latest[1].get("log", ""))
        first, is_alike = self.seq, True
        for record in journal.not_included():
            steps = repeat(self.trainer, self._events, record, self._home.versions.load, self._home.erasure)
            self._include(record, steps)
            if steps:
                is_alike &= self._publish(steps)
        if self.seq > first:
            logger.info("recovered", seq=self.seq, repeated=self.seq - first)
        if not is_alike:
            logger.error(
                "repeated steps gave other parameters than the first time",
                advice="this machine or this build of torch computes sums differently; rankers will reload",
            )
        # The last process may have died after the checkpoint of a rollback and before announcing it.
        is_unannounced = journal.restored > self._publisher.last
        if is_unannounced or not is_alike or not self._newest_version_is_whole():
            self._announce_reload()
        self._schedule.start()
        if self.seq > first:
            # So that no later process has to repeat these steps again, however soon this one ends.
            self._save_checkpoint()
        self._schedule.note_waiting(any(self.trainer.waiting), True, self._schedule.begin_step())
        self._home.write_status("learner", self.status())

    def _newest_version_is_whole(self) -> bool:
        names = self._home.versions.names()
        if names and (damage := self._home.versions.damage(names[-1])):
            _tell_damaged(f"{damage}; a new one is made")
            return False
        return bool(names)

    def amend(self, change: Callable[[Trainer], None]) -> None:
        """Change the state because events of the log are about to be changed; call `recover` first.

        The resulting state is saved: earlier steps can no longer be repeated, later ones can. Earlier
        versions and checkpoints are removed, because they hold what was changed.
        """
        self._checkpointer.collect(wait=True)
        self.trainer.take_late()
        change(self.trainer)
        self._keeps_log = False
        seq, notes = self.seq + 1, {"made_ms": self._now_ms()}
        self._home.erasures.save(seq, {"trainer": self.trainer.state()}, notes)
        self._include(self._journal.record(self.trainer.offsets, self._now_ms(), erased=True), [])
        self._save_checkpoint()
        self._announce_reload()
        self._home.checkpoints.keep_newest()
        self._home.versions.keep_newest()

    def tick(self) -> bool:
        """Take a step if there are events to learn or a command to obey; return whether there were."""
        now_s = self._schedule.begin_step()
        self._checkpointer.collect()
        if self._schedule.status_due(now_s):
            self._home.write_status("learner", self.status())
        if name := self._next_rollback():
            self._roll_back(name, "asked for by an operator")
            return True
        until = self._readable()
        is_overdue = self._schedule.is_overdue(now_s)
        is_work = until != self.trainer.offsets or (self.trainer.waiting[0] > 0 and is_overdue)
        if is_work:
            self._learn(until, is_overdue, now_s)
            if (reason := self._guard.fallen()) and (name := self._best_version(reason)):
                self._roll_back(name, reason)
        self._save_if_due(now_s)
        return is_work

    def status(self) -> JsonObject:
        """Return the state of the learner for people and for `easq up`, as JSON."""
        rows, answers = self.trainer.waiting
        counts, last = self.trainer.counts, self._trend.last
        return {
            "pid": os.getpid(),
            "at": self._wall_seconds(),
            "seq": self.seq,
            "version": self._publisher.last,
            "offsets": self.trainer.offsets,
            "lag_events": sum(self._events.end_offsets(EVENTS)) - sum(self.trainer.offsets),
            "answers": counts.answers - answers,
            "late": counts.late,
            "orphans": counts.orphans,
            "waiting_rows": rows,
            "newest_answer": self.trainer.newest_answer,
            "tied_lists": self._guard.tied_share,
            "pair_accuracy": {"recent": self._guard.recent.value, "level": self._guard.level.value},
            "losses": last.losses if last else {},
            "active_experts": last.active_experts if last else None,
            "active_satisfaction_experts": last.active_satisfaction_experts if last else None,
            "gradient": last.gradient if last else None,
            "alarms": [*self._tied, *self._dead],
            "trend": self._trend.to_json(),
        }

    def _check_logs(self) -> None:
        """Raise InputError if a log ends before what was learned: it does not belong to this home."""
        num_recorded = self._journal.num_recorded
        if num_recorded < self.seq:
            raise InputError(
                f"updates.log of {self._home.folder} holds {num_recorded} steps, the checkpoint has "
                f"{self.seq}: it was removed or replaced. Put it back; or stop the system and remove "
                "checkpoints and versions too, and everything is learned anew from events.log"
            )
        ends, offsets = self._events.end_offsets(EVENTS), self.trainer.offsets
        if len(ends) != len(offsets) or any(end < n for end, n in zip(ends, offsets, strict=True)):
            raise InputError(
                f"events.log of {self._home.folder} ends at {ends} and is learned up to "
                f"{self.trainer.offsets}: it was removed or replaced. Put it back, or choose another --home"
            )

    def _check_same_log(self, mark: str) -> None:
        """Raise InputError unless the log still is the one of a checkpoint; one of before has no mark."""
        if mark and mark != time_mark(self._events, EVENTS, self.trainer.offsets):
            raise InputError(
                f"events.log of {self._home.folder} is another log than the one that was learned. Put that "
                "one back, choose another --home, or run `easq renew`, which learns this one anew"
            )

    def _readable(self) -> list[int]:
        """Return how far this step reads: to the end of each partition, but at most `live.read_events`."""
        limit, offsets = self._live.read_events, self.trainer.offsets
        ends = self._events.end_offsets(EVENTS)
        if any(end < offset for end, offset in zip(ends, offsets, strict=True)):
            self._check_logs()
        return [min(end, offset + limit) for end, offset in zip(ends, offsets, strict=True)]

    def _learn(self, until: list[int], is_overdue: bool, now_s: float) -> None:
        was_empty = not any(self.trainer.waiting)
        flush, steps = learn_until(self.trainer, self._events, until, is_overdue)
        self._include(self._journal.record(until, self._now_ms(), flush=flush), steps)
        if steps:
            self._publish(steps)
        self._schedule.note_waiting(any(self.trainer.waiting), was_empty or bool(steps), now_s)

    def _include(self, record: StepRecord, steps: list[StepResult]) -> None:
        """Note a recorded step, new or repeated, with its results."""
        self._journal.include(record)
        if record.restore:
            self._guard.rearm()
        if late := self.trainer.take_late():
            reasons = Counter(event.reason for event in late)
            logger.warning("events left out", reasons=dict(reasons), first=late[0].event.event_id)
        if fresh := self.trainer.encoder.unknown.keys() - self._unknown:
            self._unknown |= fresh
            logger.warning("requests lack features, which are unknown there", features=sorted(fresh))
        for step in steps:
            self._guard.observe(step)
            self._trend.add(record.ts, record.seq, step, self._guard.recent.value)
        self._watch_alarms()

    def _watch_alarms(self) -> None:
        """Warn when scores collapse or what answers train begins to look dead, and when it recovers."""
        tied = self._guard.alarms()
        found = alarms(self._trend.points[-1].signals) if self._trend.points else []
        for name, now, before in (("scores", tied, self._tied), ("answer path", found, self._dead)):
            if bool(now) != bool(before):
                logger.warning(name, alarms=now or ["over"])
        self._tied, self._dead = tied, found

    def _publish(self, steps: list[StepResult]) -> bool:
        """Publish what steps changed, unless published before; return False if that was with other bytes."""
        publisher, trainer = self._publisher, self.trainer
        delta = make_delta(
            trainer.learner,
            touched_by(steps),
            self.seq,
            publisher.last,
            trainer.offsets,
            trainer.newest_answer,
            self._now_ms(),
        )
        if self.seq > publisher.last:
            publisher.publish(delta)
            return True
        return publisher.checksums.get(self.seq, delta.checksum) == delta.checksum

    def _next_rollback(self) -> str | None:
        """Return the version that an operator asks to restore, if it still exists."""
        command = self._journal.next_command()
        if command is None:
            return None
        self._checkpointer.collect(wait=True)  # the write in progress may remove an old version
        if command.name in self._home.versions.names():
            if damage := self._home.versions.damage(command.name):
                logger.error("version is damaged", version=command.name, reason=damage)
                return None
            return command.name
        logger.error("version is gone", version=command.name, kept=self._home.versions.names())
        return None

    def _roll_back(self, name: str, reason: str) -> None:
        logger.warning("rollback", version=name, reason=reason)
        state = self._home.versions.load(name)
        record = self._journal.record(self.trainer.offsets, self._now_ms(), restore=name, reason=reason)
        self.trainer.learner.restore(state)
        self._include(record, [])
        # The checkpoint first: with it the old version is no longer needed and may be removed.
        self._save_checkpoint()
        self._announce_reload()

    def _announce_reload(self) -> None:
        """Write a version and tell every ranker to load it."""
        self._checkpointer.reload(self.seq, self.trainer.learner.state(), self._notes(), self._now_ms())

    def _best_version(self, reason: str) -> str:
        """Return the stored version whose recent pair accuracy was highest when it was made.

        Versions that are damaged do not count. If all are, this is logged, and the name is empty.
        """
        self._checkpointer.collect(wait=True)
        notes = self._home.versions.readable_notes()
        for name in sorted(notes, key=lambda name: (notes[name]["pair_accuracy"], name), reverse=True):
            if not (damage := self._home.versions.damage(name)):
                return name
            _tell_damaged(damage)
        logger.error("no version to go back to", reason=reason)
        self._guard.rearm()
        return ""

    def _save_if_due(self, now_s: float) -> None:
        if self._checkpointer.is_busy:
            return
        if self._schedule.version_due(now_s):
            notes = self._home.versions.readable_notes()
            if self._publisher.last not in {made["version"] for made in notes.values()}:
                state = self.trainer.learner.state()
                self._checkpointer.version(self.seq, state, self._notes(), self._now_ms())
        elif self._schedule.checkpoint_due(now_s):
            self._save_checkpoint()

    def _save_checkpoint(self) -> None:
        self._schedule.note_checkpoint()
        state: Nested = {"trainer": self.trainer.state(), "guard": self._guard.state()}
        journal = self._journal
        notes = {
            "seq": self.seq,
            "commands": journal.commands,
            "last": self._publisher.last,
            "restored": journal.restored,
            # Once the log is about to be changed, no mark: the next process makes one of what it finds.
            "log": time_mark(self._events, EVENTS, self.trainer.offsets) if self._keeps_log else "",
        }
        self._checkpointer.checkpoint(self.seq, state, notes)

    def _notes(self) -> JsonObject:
        return {
            "seq": self.seq,
            "version": self._publisher.last,
            "until": self.trainer.offsets,
            "made_ms": self._now_ms(),
            "pair_accuracy": self._guard.recent.value,
        }

    def _now_ms(self) -> int:
        return round(self._wall_seconds() * 1000)


def _tell_damaged(reason: str) -> None:
    logger.error("bytes on the disk are damaged", reason=reason)
