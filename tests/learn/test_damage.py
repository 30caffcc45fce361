"""Bytes of a home that change at rest are told, and what is whole goes on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from easq.errors import InputError
from easq.home.snapshots import Snapshots
from easq.learn.verify import verify
from easq.log.events import COMMANDS, EVENTS, RollbackRequest
from easq.log.sqlite import SqliteLog
from easq.rank.replica import Replica
from tests.support.crashing_log import run_through
from tests.support.live_home import LiveSystem, event_batches, live_system
from tests.support.log_lines import LogLines

OFTEN = ("live.checkpoint_seconds=1", "live.snapshot_seconds=1.5", "live.keep_versions=3")


def _flip(folder: Path) -> None:
    path = folder / "state.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> LogLines:
    lines = LogLines()
    monkeypatch.setattr("easq.learn.live_learner.logger", lines)
    return lines


DAMAGES: dict[str, Callable[[Path], object]] = {
    "one bit": _flip,
    "cut off": lambda folder: (folder / "state.safetensors").write_bytes(b"\0" * 11),
    "no notes": lambda folder: (folder / "notes.json").write_bytes(b""),
}


def damage_newest(snapshots: Snapshots, folder: Path, how: str) -> str:
    name = snapshots.names()[-1]
    DAMAGES[how](folder / name)
    return name


def has_learned(system: LiveSystem) -> np.ndarray:
    """Let a learner learn all but the last batches, and return the weights of its table."""
    learner = system.learner()
    for batch in event_batches()[:-4]:
        system.append(batch)
        system.clock.now += 0.2
        learner.tick()
    learner.close()
    return learner.trainer.learner.table.weight.numpy().copy()


def followed(system: LiveSystem) -> Replica:
    replica = system.replica()
    while replica.poll():
        pass
    return replica


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_checkpoint_is_made_up_for_by_the_one_before(
    tmp_path: Path, how: str, lines: LogLines
) -> None:
    with live_system(tmp_path, *OFTEN) as system:
        before = has_learned(system)
        name = damage_newest(system.home.checkpoints, tmp_path / "home" / "checkpoints", how)
        learner = system.learner()
        (told,) = lines.of("bytes on the disk are damaged")
        assert name in told["reason"]
        assert np.array_equal(learner.trainer.learner.table.weight.numpy(), before)
        learner.close()
        assert verify(system.home, system.events, system.updates).different == []


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_version_is_made_up_for_by_the_one_before_and_made_anew(
    tmp_path: Path, how: str, lines: LogLines
) -> None:
    with live_system(tmp_path, *OFTEN) as system:
        has_learned(system)
        name = damage_newest(system.home.versions, tmp_path / "home" / "versions", how)
        whole = followed(system)
        assert (whole.status.refused, whole._is_behind) == (1, False)
        verified = verify(system.home, system.events, system.updates)
        assert [text.split(" ")[0] for text in verified.different] == [name]
        learner = system.learner()
        assert len(lines.of("bytes on the disk are damaged")) == 1
        run_through(system, learner)
        learner.close()
        assert followed(system).status.seq >= whole.status.seq
        assert system.home.versions.damage(system.home.versions.names()[-1]) == ""


def test_a_rollback_to_a_damaged_version_is_refused_and_learning_goes_on(
    tmp_path: Path, lines: LogLines
) -> None:
    with live_system(tmp_path, *OFTEN) as system:
        has_learned(system)
        learner = system.learner()
        name = system.home.versions.names()[0]
        _flip(tmp_path / "home" / "versions" / name)
        command = RollbackRequest(event_id="c", user_id="", ts=0, name=name)
        system.updates.append(COMMANDS, [command])
        run_through(system, learner)
        assert [line["version"] for line in lines.of("version is damaged")] == [name]
        assert learner.seq > 0
        learner.close()


def test_the_guard_goes_back_to_a_version_that_is_whole(tmp_path: Path) -> None:
    with live_system(tmp_path, *OFTEN) as system:
        has_learned(system)
        learner = system.learner()
        best = learner._best_version("for a test")
        _flip(tmp_path / "home" / "versions" / best)
        other = learner._best_version("for a test")
        assert other not in ("", best)
        for name in system.home.versions.names():
            _flip(tmp_path / "home" / "versions" / name) if name != best else None
        assert learner._best_version("for a test") == ""
        learner.close()


def test_verify_names_a_log_of_updates_that_is_gone(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        has_learned(system)
    for path in (tmp_path / "home").glob("updates.log*"):
        path.unlink()
    message = r"updates.log of .* holds 0 steps, and the home has a version"
    with live_system(tmp_path) as system, pytest.raises(InputError, match=message):
        verify(system.home, system.events, system.updates)


@pytest.mark.parametrize("kind", ["other times", "other partitions"])
def test_a_home_with_another_log_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    with live_system(tmp_path) as system:
        has_learned(system)
    path = tmp_path / "home" / "events.log"
    path.rename(tmp_path / "right.log")
    with SqliteLog(path, 4 if kind == "other times" else 3) as log:
        for _ in range(2):
            for number, batch in enumerate(event_batches()):
                changed = [structs.replace(e, event_id=f"{e.event_id}.{number}", ts=e.ts + 1) for e in batch]
                log.append(EVENTS, changed)
    with (
        live_system(tmp_path) as system,
        pytest.raises(InputError, match=r"is another log|ends at .* learned"),
    ):
        system.learner()
    for old in (tmp_path / "home").glob("events.log*"):
        old.unlink()
    (tmp_path / "right.log").rename(path)
    with live_system(tmp_path) as system:
        system.learner().close()
