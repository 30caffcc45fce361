"""The live learner: follow the log, learn in small steps, record each, publish what it changed.

The order of writing makes every kill harmless. A step is computed, then recorded, then published. What
was not recorded never happened: the same events are read again, cut as it may be. What was recorded is
repeated from the last checkpoint, to the same bytes, and published if it was not.
"""

import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import structlog

from easq.errors import InputError
from easq.home.home import Home
from easq.learn.checkpointer import Checkpointer
from easq.learn.learner import NonFiniteLossError, StepResult
from easq.learn.publish import Publisher, make_delta
from easq.learn.recorded_steps import learn_until, recorded, repeat, touched_by
from easq.learn.rollback_guard import RollbackGuard
from easq.learn.trainer import Trainer, compute_alike, part_of
from easq.learn.trend import Trend
from easq.log.base import EventLog
from easq.log.events import COMMANDS, EVENTS, STEPS, RollbackRequest, StepRecord

_IDLE_S = 0.25
_STATUS_S = 0.5

logger = structlog.get_logger()


class LiveLearner:
    """The learner of one home: `recover`, then `tick` again and again; `run` does both.

    Two clocks decide when things happen, never what a step computes: `seconds` only runs forward, and
    `wall_seconds`, which somebody may set back, is what is written down.
    """

    def __init__(
        self,
        home: Home,
        events: EventLog,
        updates: EventLog,
        seconds: Callable[[], float] = time.monotonic,
        wall_seconds: Callable[[], float] = time.time,
    ) -> None:
        self._home, self._events, self._updates = home, events, updates
        self._seconds, self._wall_seconds = seconds, wall_seconds
        self._live = live = home.recipe.live
        compute_alike(home.recipe.training.threads)
        self.trainer = Trainer(home.recipe, events.partitions(EVENTS))
        self._guard = RollbackGuard(live.guard_share, live.guard_recent_pairs, live.guard_level_pairs)
        self._publisher = Publisher(updates)
        self._keeper = Checkpointer(home, self._publisher)
        self.seq = self._commands = self._restored = 0
        self._waiting_since = math.inf
        self._began = self._told = self._checkpointed = self._versioned = 0.0
        self._trend = Trend()

    def run(self, stop: threading.Event) -> None:
        """Learn until `stop` is set, then leave a checkpoint."""
        self.recover()
        while not stop.is_set():
            if self._tick_loudly():
                stop.wait(max(0.0, self._began + self._live.step_seconds - self._seconds()))
            else:
                self._events.wait(EVENTS, self.trainer.offsets, _IDLE_S)
        self.close()

    def _tick_loudly(self) -> bool:
        try:
            return self.tick()
        except NonFiniteLossError as error:
            # What this step has changed is nowhere but in this process, which ends.
            logger.critical("the learner stops", reason=str(error), seq=self.seq)
            raise

    def close(self) -> None:
        """Leave a checkpoint of where it stands."""
        self._save_checkpoint()
        self._keeper.close()
        self._home.write_status("learner", self.status())

    def recover(self) -> None:
        """Go on exactly where the last life stood: its checkpoint, then the steps recorded since."""
        latest = self._home.checkpoints.latest()
        if latest:
            state, notes = latest
            self.trainer.restore(part_of(state, "trainer"))
            self._guard.restore(state["guard"])
            self.seq, self._commands, self._restored = notes["seq"], notes["commands"], notes["restored"]
            self._publisher.last = max(self._publisher.last, notes["last"])
        self._check_logs()
        begun, is_alike = self.seq, True
        for taken in recorded(self._updates, self.seq):
            steps = repeat(self.trainer, self._events, taken, self._home.versions.load, self._home.erasure)
            self._account(taken, steps)
            if steps:
                is_alike &= self._publish(steps)
        if self.seq > begun:
            logger.info("recovered", seq=self.seq, repeated=self.seq - begun)
        if not is_alike:
            logger.error(
                "repeated steps gave other parameters than the first time",
                advice="this machine or another build of torch sums otherwise; rankers are told to reload",
            )
        # It may have died after the checkpoint of a rollback and before rankers were told of it.
        is_unannounced = self._restored > self._publisher.last
        if is_unannounced or not is_alike or not self._home.versions.names():
            self._keeper.reload(self.seq, self.trainer.learner.state(), self._notes(), self._now_ms())
        self._checkpointed = self._versioned = self._seconds()
        if self.seq > begun:
            # What was repeated is not repeated again, however soon this life ends too.
            self._save_checkpoint()
        if any(self.trainer.waiting):
            self._waiting_since = self._seconds()
        self._home.write_status("learner", self.status())

    def forget(self, users: Collection[str]) -> None:
        """Drop what the state holds of viewers whose events are to be erased; afterwards `recover`.

        Where it then stands is kept: steps of before cannot be repeated, those that follow can. Versions
        and checkpoints of before are removed, because they hold such rows too.
        """
        self._keeper.collect(wait=True)
        self.trainer.take_late()
        self.trainer.forget(users)
        seq, notes = self.seq + 1, {"made_ms": self._now_ms()}
        state = {f"trainer:{name}": value for name, value in self.trainer.state().items()}
        self._home.erasures.save(seq, state, notes)
        self._account(self._record(self.trainer.offsets, erased=True), [])
        self._save_checkpoint()
        self._keeper.reload(self.seq, self.trainer.learner.state(), self._notes(), self._now_ms())
        self._home.checkpoints.keep_newest()
        self._home.versions.keep_newest()

    def _check_logs(self) -> None:
        """Refuse logs that end before what was learned: they are not those of this home."""
        (steps,) = self._updates.end_offsets(STEPS)
        if steps < self.seq:
            raise InputError(
                f"updates.log of {self._home.folder} holds {steps} steps, the checkpoint has {self.seq}: "
                "it was removed or replaced. Put it back; or stop the system and remove checkpoints and "
                "versions too, and all is learned anew from events.log"
            )
        ends = self._events.end_offsets(EVENTS)
        if any(end < offset for end, offset in zip(ends, self.trainer.offsets, strict=True)):
            raise InputError(
                f"events.log of {self._home.folder} ends at {ends} and is learned up to "
                f"{self.trainer.offsets}: it was removed or replaced. Put it back, or choose another --home"
            )

    def tick(self) -> bool:
        """Take a step if there is something to learn or to obey; return whether there was."""
        self._began = now = self._seconds()
        self._keeper.collect()
        if now >= self._told + _STATUS_S:
            self._told = now
            self._home.write_status("learner", self.status())
        if command := self._next_command():
            self._roll_back(command.name, "asked for by an operator")
            return True
        until = self._readable()
        is_overdue = now >= self._waiting_since + self._live.flush_seconds
        is_work = until != self.trainer.offsets or (self.trainer.waiting[0] > 0 and is_overdue)
        if is_work:
            self._learn(until, is_overdue, now)
            if reason := self._guard.fallen():
                self._roll_back(self._best_version(), reason)
        self._save_if_due(now)
        return is_work

    def status(self) -> dict[str, Any]:
        """Return where the learner stands, for people and for `easq up`."""
        rows, answers = self.trainer.waiting
        counts = self.trainer.counts
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
            "pair_accuracy": {"recent": self._guard.recent.value, "level": self._guard.level.value},
            "losses": self._trend.last.get("losses", {}),
            "active_experts": self._trend.last.get("active_experts"),
            "active_satisfaction_experts": self._trend.last.get("active_satisfaction_experts"),
            "gradient": self._trend.last.get("gradient"),
            "trend": self._trend.points,
        }

    def _readable(self) -> list[int]:
        """Return how far this step reads: to the end of each partition, but not more than its share."""
        limit, offsets = self._live.read_events, self.trainer.offsets
        ends = self._events.end_offsets(EVENTS)
        if any(end < offset for end, offset in zip(ends, offsets, strict=True)):
            self._check_logs()
        return [min(end, offset + limit) for end, offset in zip(ends, offsets, strict=True)]

    def _learn(self, until: list[int], is_overdue: bool, now: float) -> None:
        was_empty = not any(self.trainer.waiting)
        flush, steps = learn_until(self.trainer, self._events, until, is_overdue)
        self._account(self._record(until, flush=flush), steps)
        if steps:
            self._publish(steps)
        if not any(self.trainer.waiting):
            self._waiting_since = math.inf
        elif was_empty or steps:
            self._waiting_since = now

    def _record(self, until: list[int], **what: Any) -> StepRecord:
        """Write down that a step was taken; from here on it will be repeated."""
        seq = self.seq + 1
        taken = StepRecord(
            event_id=f"step-{seq}",
            user_id="",
            ts=self._now_ms(),
            seq=seq,
            until=until,
            commands=self._commands,
            **what,
        )
        (position,) = self._updates.append(STEPS, [taken])
        if position.offset != self.seq:
            raise RuntimeError(f"step {seq} of this home was recorded by another learner; stop one of them")
        return taken

    def _account(self, taken: StepRecord, steps: list[StepResult]) -> None:
        """Count a step, done or repeated."""
        self.seq, self._commands = taken.seq, taken.commands
        if taken.restore or taken.erased:
            self._restored = taken.seq
        if taken.restore:
            self._guard.rearm()
        if late := self.trainer.take_late():
            reasons = Counter(event.reason for event in late)
            logger.warning("events left out", reasons=dict(reasons), first=late[0].event.event_id)
        for step in steps:
            self._guard.observe(step)
            self._trend.add(taken.ts, taken.seq, step, self._guard.recent.value)

    def _publish(self, steps: list[StepResult]) -> bool:
        """Publish what steps have changed, if it was not; return False where it was, with other bytes."""
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

    def _next_command(self) -> RollbackRequest | None:
        for command in self._updates.read(COMMANDS, 0, self._commands, 1):
            self._commands += 1
            assert isinstance(command, RollbackRequest)
            self._keeper.collect(wait=True)  # what it writes makes an old version go
            if command.name in self._home.versions.names():
                return command
            logger.error("version is gone", version=command.name, kept=self._home.versions.names())
        return None

    def _roll_back(self, name: str, reason: str) -> None:
        logger.warning("rollback", version=name, reason=reason)
        state = self._home.versions.load(name)
        taken = self._record(self.trainer.offsets, restore=name, reason=reason)
        self.trainer.learner.restore(state)
        self._account(taken, [])
        # The checkpoint first: with it nobody needs the old version again, which may then be removed.
        self._save_checkpoint()
        self._keeper.reload(self.seq, self.trainer.learner.state(), self._notes(), self._now_ms())

    def _best_version(self) -> str:
        """Return the kept version whose recent pair accuracy was highest when it was made."""
        self._keeper.collect(wait=True)
        versions = self._home.versions
        return max(versions.names(), key=lambda name: (versions.notes(name)["pair_accuracy"], name))

    def _save_if_due(self, now: float) -> None:
        if self._keeper.is_busy:
            return
        if now >= self._versioned + self._live.snapshot_seconds:
            self._versioned = now
            if self._publisher.last != self._home.versions.notes(self._home.versions.names()[-1])["version"]:
                state = self.trainer.learner.state()
                self._keeper.version(self.seq, state, self._notes(), self._now_ms())
        elif now >= self._checkpointed + self._live.checkpoint_seconds:
            self._save_checkpoint()

    def _save_checkpoint(self) -> None:
        self._checkpointed = self._seconds()
        state = {f"trainer:{name}": value for name, value in self.trainer.state().items()}
        state["guard"] = self._guard.state()
        notes = {
            "seq": self.seq,
            "commands": self._commands,
            "last": self._publisher.last,
            "restored": self._restored,
        }
        self._keeper.checkpoint(self.seq, state, notes)

    def _notes(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "version": self._publisher.last,
            "until": self.trainer.offsets,
            "made_ms": self._now_ms(),
            "pair_accuracy": self._guard.recent.value,
        }

    def _now_ms(self) -> int:
        return round(self._wall_seconds() * 1000)
