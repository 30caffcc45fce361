"""The live learner: nothing is lost, nothing counts twice, and what it does can be done again."""

import dataclasses
import random
import threading
from pathlib import Path

import numpy as np
import pytest

from easq.errors import InputError, SettingsError
from easq.features.batch import Batch
from easq.home.home import open_home
from easq.learn.learner import NonFiniteLossError, StepResult
from easq.learn.live_learner import LiveLearner
from easq.learn.verify import verify
from easq.log.events import COMMANDS, EVENTS, STEPS, Answered, RollbackRequest
from easq.log.sqlite import SqliteLog
from easq.prove.report.board import learners
from easq.service.supervisor import Pace
from tests.support.crashing_log import deltas, run_through, run_with_kills
from tests.support.live_home import LIVE, Clock, event_batches, live_system
from tests.support.log_lines import LogLines
from tests.support.small_worlds import small_recipe


def test_every_answer_is_learned_once_and_at_once(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        learner = system.learner()
        num_answers = 0
        for batch in event_batches():
            system.append(batch)
            num_answers += sum(isinstance(event, Answered) for event in batch)
            system.clock.now += 0.1
            learner.tick()
            assert learner.status()["answers"] == num_answers
        assert num_answers > 50
        assert learner.status()["lag_events"] == 0
        learner.close()


def test_behavior_waits_for_a_whole_batch_or_until_it_is_overdue(tmp_path: Path) -> None:
    with live_system(tmp_path, "training.batch_rows=60000", "live.flush_seconds=5") as system:
        learner = system.learner()
        events = [e for batch in event_batches() for e in batch if not isinstance(e, Answered)]
        system.append(events)
        learner.tick()
        assert learner.status()["waiting_rows"] > 0
        assert deltas(system) == []
        system.clock.now += 4
        assert not learner.tick()
        system.clock.now += 1.5
        assert learner.tick()
        assert learner.status()["waiting_rows"] == 0
        assert len(deltas(system)) == 1
        learner.close()


def test_undisturbed_repetition_gives_the_same_bytes(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        learner = system.learner()
        run_through(system, learner)
        learner.close()
        verified = verify(system.home, system.events, system.updates)
        assert verified.different == []
        assert verified.steps > 10
        assert verified.deltas > 10
        assert verified.answers == learner.status()["answers"]
        assert (verified.checkpoints, verified.versions) == (1, 1)


def test_verification_finds_a_changed_bit(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        learner = system.learner()
        run_through(system, learner)
        with np.errstate(all="ignore"):
            learner.trainer.learner.table.weight[1] += 1e-3
        system.clock.now += 100
        learner.tick()
        learner.close()
        assert verify(system.home, system.events, system.updates).different != []


def test_verification_works_while_the_learner_writes_and_removes(tmp_path: Path) -> None:
    with live_system(tmp_path, "live.keep_versions=2") as system:
        learner = system.learner()
        batches = event_batches(200)
        for batch in batches[:20]:
            system.append(batch)
            system.clock.now += 0.2
            learner.tick()
        learner._save_checkpoint()
        learner._checkpointer.collect(wait=True)
        kept = (*system.home.versions.names(), *system.home.checkpoints.names())

        def go_on(seq: int, total: int) -> None:
            """Make versions and checkpoints until none of the first is left, and updates are removed."""
            for batch in batches[20 : 30 if seq == 1 else 20]:
                system.append(batch)
                system.clock.now += 100
                for _ in ("version", "checkpoint"):
                    learner.tick()
                    learner._checkpointer.collect(wait=True)

        verified = verify(system.home, system.events, system.updates, go_on)
        assert not {*system.home.versions.names(), *system.home.checkpoints.names()} & {*kept}
        assert verified.different == []
        assert (verified.versions, verified.checkpoints) == (3, 2)
        assert verified.steps == learner.seq
        learner.close()


def test_repetition_ends_where_the_learner_has_gone_back_meanwhile(tmp_path: Path) -> None:
    with live_system(tmp_path, "live.snapshot_seconds=2") as system:
        learner = system.learner()
        run_through(system, learner)
        before = learner.seq

        def go_back(seq: int, total: int) -> None:
            if seq == 1:
                name = system.home.versions.names()[-1]
                system.updates.append(COMMANDS, [RollbackRequest(event_id="c", user_id="", ts=0, name=name)])
                learner.tick()

        verified = verify(system.home, system.events, system.updates, go_back)
        assert (verified.steps, verified.different, learner.seq) == (before, [], before + 1)
        learner.close()


@pytest.mark.parametrize("seed", range(4))
def test_a_learner_killed_anywhere_continues_to_the_same_bytes(tmp_path: Path, seed: int) -> None:
    with live_system(tmp_path, "live.checkpoint_seconds=1", "live.snapshot_seconds=2") as system:
        learner = run_with_kills(system, event_batches(), random.Random(seed))
        verified = verify(system.home, system.events, system.updates)
        assert verified.different == []
        assert verified.answers == learner.status()["answers"]
        seqs = [delta.seq for delta in deltas(system)]
        assert seqs == sorted(set(seqs))
        follower = system.replica()
        while follower.poll():
            pass
        assert follower.status.gaps == 0
        weight = learner.trainer.learner.table.weight.numpy()
        assert np.array_equal(follower._parameters._table_RE.numpy(), weight)


def test_what_a_recovery_repeated_is_not_repeated_by_the_next(tmp_path: Path) -> None:
    with live_system(tmp_path, "live.checkpoint_seconds=3600") as system:
        run_through(system, system.learner())
        assert system.home.checkpoints.names() == []
        recovered = system.learner()
        recovered._checkpointer.close()
        assert system.home.checkpoints.names() == [system.home.checkpoints.name(recovered.seq)]
        assert verify(system.home, system.events, system.updates).different == []


def test_a_loss_that_is_not_finite_stops_the_learner_without_changes(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        learner = system.learner()
        for batch in event_batches()[:6]:
            system.append(batch)
            learner.tick()
        seq, published = learner.seq, len(deltas(system))
        learner.trainer.learner.table.weight.fill_(float("nan"))
        for batch in event_batches()[6:10]:
            system.append(batch)
        with pytest.raises(NonFiniteLossError):
            learner.run(threading.Event())
        assert (len(deltas(system)), system.updates.end_offsets(STEPS)) == (published, [seq])
        learner._checkpointer.close()
        again = system.learner()
        assert again.tick()
        again.close()
        verified = verify(system.home, system.events, system.updates)
        assert verified.different == []


def test_a_log_that_ends_before_what_was_learned_is_refused(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        learner = system.learner()
        run_through(system, learner)
        learner.close()
    (system.home.folder / "updates.log").rename(tmp_path / "updates.log")
    with system.home.open_events() as events, system.home.open_updates() as updates:
        with pytest.raises(InputError, match=r"updates.log of .* holds 0 steps"):
            LiveLearner(system.home, events, updates).recover()
        assert updates.end_offsets(STEPS) == [0]
    (tmp_path / "updates.log").rename(system.home.folder / "updates.log")
    (system.home.folder / "events.log").rename(tmp_path / "events.log")
    with SqliteLog(system.home.folder / "events.log"):
        pass  # an empty one in its place
    with (
        system.home.open_events() as events,
        system.home.open_updates() as updates,
        pytest.raises(InputError, match=r"events.log of .* removed or replaced"),
    ):
        LiveLearner(system.home, events, updates).recover()


def test_a_clock_set_back_changes_written_times_but_no_timer(tmp_path: Path) -> None:
    with live_system(tmp_path, "live.flush_seconds=5") as system:
        wall = Clock()
        learner = LiveLearner(system.home, system.events, system.updates, system.clock, wall)
        learner.recover()
        system.append([e for batch in event_batches() for e in batch if not isinstance(e, Answered)])
        learner.tick()
        wall.now -= 3600
        system.clock.now += 6
        assert learner.tick()
        assert learner.status()["waiting_rows"] == 0
        assert learner.status()["at"] == wall.now
        learner.close()


def test_home_refuses_a_recipe_that_computes_otherwise(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        folder = system.home.folder
    open_home(folder, small_recipe(*LIVE, "live.step_seconds=0.5", "service.log_top=3"))
    assert open_home(folder).recipe.service.log_top == 3
    with pytest.raises(SettingsError, match="these differ: training"):
        open_home(folder, small_recipe(*LIVE, "training.learning_rate=0.1"))
    with pytest.raises(InputError, match="holds no live system"):
        open_home(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds something else"):
        open_home(tmp_path, small_recipe())


def test_one_learner_a_home(tmp_path: Path) -> None:
    with live_system(tmp_path) as system, system.home.lock("learner"):
        assert sum(system.events.end_offsets(EVENTS)) == 0


def test_scores_that_collapse_are_told_in_the_status_and_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = LogLines()
    monkeypatch.setattr("easq.learn.live_learner.logger", lines)
    with live_system(tmp_path, "live.guard_recent_pairs=16777216") as system:
        learner = system.learner()
        step = learner.trainer.learner.step

        def collapsed(batch: Batch) -> StepResult:
            result = step(batch)
            return dataclasses.replace(result, served_N=np.full_like(result.served_N, 1e-6))

        monkeypatch.setattr(learner.trainer.learner, "step", collapsed)
        run_through(system, learner)
        status = learner.status()
        learner.close()
    assert status["tied_lists"] == 1.0
    assert "all candidates have one score" in status["alarms"][0]
    assert len(lines.of("scores")) == 1
    service = {"ready": True, "at": 1.0}
    assert "ALARM: In 100% of the recent lists" in Pace().line(service, status)
    assert "In 100% of the recent lists" in learners({"main": status}, {"main": (1, 1)})
