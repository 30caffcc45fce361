"""The record of every live step and the commands of operators, both on the log of the learner.

A step is recorded before it is published. A recovery, or `easq verify`, repeats exactly the recorded steps.
"""

from collections.abc import Iterator, Sequence
from typing import TypedDict, Unpack

from easq.learn.recorded_steps import recorded
from easq.log.base import EventLog
from easq.log.events import COMMANDS, STEPS, RollbackRequest, StepRecord


class _Kind(TypedDict, total=False):
    """What a step did besides reading events; see StepRecord."""

    flush: bool
    erased: bool
    restore: str
    reason: str


class Journal:
    """Records steps and reads commands.

    seq        number of the last step that the learner's state includes.
    commands   number of commands read so far.
    restored   last step that did not follow from the one before it: a rollback or an erasure.
    """

    def __init__(self, updates: EventLog) -> None:
        self._updates = updates
        self.seq = self.commands = self.restored = 0

    @property
    def num_recorded(self) -> int:
        """Number of steps on the log."""
        (end,) = self._updates.end_offsets(STEPS)
        return end

    def record(self, until: Sequence[int], ts: int, **kind: Unpack[_Kind]) -> StepRecord:
        """Append the next step; from then on a recovery repeats it.

        Raises RuntimeError if another learner appended the step first.
        """
        seq = self.seq + 1
        step = StepRecord(
            event_id=f"step-{seq}",
            user_id="",
            ts=ts,
            seq=seq,
            until=list(until),
            commands=self.commands,
            **kind,
        )
        (position,) = self._updates.append(STEPS, [step])
        if position.offset != self.seq:
            raise RuntimeError(f"step {seq} of this home was recorded by another learner; stop one of them")
        return step

    def include(self, step: StepRecord) -> None:
        """Note that the learner's state now includes a recorded step."""
        self.seq, self.commands = step.seq, step.commands
        if step.restore or step.erased:
            self.restored = step.seq

    def not_included(self) -> Iterator[StepRecord]:
        """Yield the recorded steps that the learner's state does not include yet."""
        return recorded(self._updates, self.seq)

    def next_command(self) -> RollbackRequest | None:
        """Return the next command of an operator, if there is one."""
        for command in self._updates.read(COMMANDS, 0, self.commands, 1):
            self.commands += 1
            assert isinstance(command, RollbackRequest)
            return command
        return None
