"""Going back to an older version: by hand, by the guard, and whatever dies meanwhile."""

import threading
from pathlib import Path

import numpy as np
import pytest

from easq.home.snapshots import Snapshots, State
from easq.learn.verify import verify
from easq.log.events import COMMANDS, STEPS, UPDATES, RollbackRequest, StepRecord
from tests.support.crashing_log import CrashError, CrashingLog, run_through
from tests.support.live_home import event_batches, live_system


def test_operator_rolls_back_and_everyone_follows(tmp_path: Path) -> None:
    with live_system(tmp_path, "live.snapshot_seconds=2") as system:
        learner, follower = system.learner(), system.replica()
        run_through(system, learner)
        while follower.poll():
            pass
        target = system.home.versions.names()[-2]
        system.updates.append(COMMANDS, [RollbackRequest(event_id="c1", user_id="", ts=0, name=target)])
        assert learner.tick()
        weight = system.home.versions.load(target)["table"]["weight"]
        assert np.array_equal(learner.trainer.learner.table.weight.numpy(), weight)
        while follower.poll():
            pass
        assert np.array_equal(follower._parameters._table_RE.numpy(), weight)
        assert follower.status.seq == learner.seq
        # It goes on from there, and a repetition finds the way back too.
        system.append(event_batches(30)[0])
        run_through(system, learner)
        learner.close()
        again = system.learner()
        assert again.seq == learner.seq
        again.close()
        assert verify(system.home, system.events, system.updates).different == []


@pytest.mark.parametrize(("topic", "after"), [(STEPS, True), (UPDATES, False), (UPDATES, True)])
def test_a_learner_killed_in_a_rollback_still_announces_it(tmp_path: Path, topic: str, after: bool) -> None:
    with live_system(tmp_path) as system:
        learner, follower = system.learner(), system.replica()
        run_through(system, learner)
        while follower.poll():
            pass
        asked = RollbackRequest(event_id="c", user_id="", ts=0, name=system.home.versions.names()[0])
        system.updates.append(COMMANDS, [asked])
        learner._journal._updates = CrashingLog(topic, after).over(system.updates)  # type: ignore[assignment]
        learner._publisher._updates = learner._journal._updates
        with pytest.raises(CrashError):
            learner.tick()
        learner._checkpointer.close()
        learner = system.learner()
        system.append(event_batches(30)[0])
        run_through(system, learner)
        while follower.poll():
            pass
        assert follower.status.seq == learner.status()["version"]
        served, learned = follower._parameters._table_RE.numpy(), learner.trainer.learner.table.weight.numpy()
        assert np.array_equal(served, learned)
        learner.close()
        assert verify(system.home, system.events, system.updates).different == []


def test_rollback_to_a_version_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        learner = system.learner()
        system.updates.append(COMMANDS, [RollbackRequest(event_id="c", user_id="", ts=0, name="v9")])
        assert not learner.tick()
        assert learner.seq == 0
        learner.close()


def test_rollback_to_a_version_that_is_going_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version is being written, and the oldest one will go with it, when that one is asked for."""
    is_waited_for = threading.Event()
    save = Snapshots.save

    def slow_save(self: Snapshots, number: int, state: State, notes: dict[str, object]) -> str:
        is_waited_for.wait()
        return save(self, number, state, notes)

    with live_system(tmp_path, "live.keep_versions=2") as system:
        learner = system.learner()
        run_through(system, learner)
        learner._checkpointer.reload(learner.seq, learner.trainer.learner.state(), learner._notes(), 0)
        oldest = system.home.versions.names()[0]
        checkpointer, collect = learner._checkpointer, learner._checkpointer.collect

        def collect_at_last(wait: bool = False) -> None:
            if wait:
                is_waited_for.set()
            collect(wait)

        monkeypatch.setattr(checkpointer, "collect", collect_at_last)
        monkeypatch.setattr(Snapshots, "save", slow_save)
        collect(wait=True)
        checkpointer._writing = checkpointer._thread.submit(
            system.home.versions.save, learner.seq + 1, learner.trainer.learner.state(), learner._notes()
        )
        system.updates.append(COMMANDS, [RollbackRequest(event_id="c", user_id="", ts=0, name=oldest)])
        before = learner.seq
        learner.tick()
        assert (learner.seq, oldest in system.home.versions.names()) == (before, False)
        learner.close()


def test_guard_rolls_back_when_validation_falls(tmp_path: Path) -> None:
    # A share of 1 takes any fall below the level, which chance brings about.
    guard = ("live.guard_share=1", "live.guard_recent_pairs=20", "live.guard_level_pairs=100")
    with live_system(tmp_path, *guard, "live.snapshot_seconds=1") as system:
        learner, follower = system.learner(), system.replica()
        run_through(system, learner)
        learner.close()
        records = [t for t in system.updates.read(STEPS, 0, 0, 10_000) if isinstance(t, StepRecord)]
        rolled_back = [t for t in records if t.restore]
        assert rolled_back
        assert "recent pair accuracy is" in rolled_back[0].reason
        while follower.poll():
            pass
        assert follower.status.seq == learner.status()["version"]
        assert verify(system.home, system.events, system.updates).different == []
