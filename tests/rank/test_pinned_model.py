"""A model as of one moment, and how far it had read the log."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from easq.errors import InputError
from easq.home.home import Home, open_home
from easq.home.snapshots import flatten
from easq.learn.live_learner import LiveLearner
from easq.log.events import EVENTS, UPDATES, Delta, Event
from easq.rank.pinned_model import freeze, frozen, newest
from tests.support.live_home import LiveSystem, TrimmedMeanwhile, event_batches, live_system
from tests.support.small_worlds import small_recipe


def learn(system: LiveSystem, learner: LiveLearner, pieces: list[list[Event]]) -> None:
    for piece in pieces:
        system.append(piece)
        learner.tick()
        system.clock.now += 1000


def test_the_newest_model_is_what_rankers_have_and_says_how_far_it_read(tmp_path: Path) -> None:
    with live_system(tmp_path, "live.snapshot_seconds=1e9") as system:
        learner = system.learner()
        learn(system, learner, event_batches())
        replica = system.replica()
        while replica.poll():
            pass
        result = newest(system.home)
        assert result.parameters.seq == replica.status.seq > 0
        served = flatten(replica._parameters.state())
        assert all(
            np.array_equal(served[name], array) for name, array in flatten(result.parameters.state()).items()
        )
        # What was read since and waits for a step is not in the parameters.
        last = [e for e in system.updates.read(UPDATES, 0, 0, 1000) if isinstance(e, Delta)][-1]
        assert result.until == last.until
        assert all(n <= end for n, end in zip(last.until, learner.trainer.offsets, strict=True))
        learner.close()


def test_updates_that_go_meanwhile_do_not_end_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live_system(tmp_path, "live.snapshot_seconds=1e9") as system:
        learner = system.learner()
        learn(system, learner, event_batches())
        monkeypatch.setattr("easq.rank.pinned_model.SqliteLog", TrimmedMeanwhile)
        assert newest(system.home).parameters.seq == learner.status()["version"] > 0
        learner.close()


def test_a_frozen_model_stays_while_the_learner_continues(tmp_path: Path) -> None:
    with live_system(tmp_path, "live.snapshot_seconds=0.5", "live.keep_versions=2") as system:
        learner = system.learner()
        pieces = event_batches()
        learn(system, learner, pieces[:3])
        name = freeze(system.home)
        before = frozen(system.home)
        assert before.name == name
        ends = system.events.end_offsets(EVENTS)
        learn(system, learner, pieces[3:])
        learner.close()
        assert name not in system.home.versions.names()
        again = frozen(system.home)
        assert again.name == name != newest(system.home).name
        assert again.until == before.until == ends
        state = flatten(before.parameters.state())
        assert all(
            np.array_equal(state[key], array) for key, array in flatten(again.parameters.state()).items()
        )
        # Only the served parameters are stored, no rows of the replay buffer.
        stored = system.home.frozen.load(name)
        assert (stored.keys(), stored["table"].keys()) == ({"dense", "table"}, {"weight"})
        version = system.home.versions.names()[0]
        assert frozen(system.home, version).name == version
        with pytest.raises(InputError, match=f"version: got 'v9'; .* keeps {name}, {version}"):
            frozen(system.home, "v9")


def test_a_home_whose_learner_never_ran_has_no_model_to_freeze(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no version of its model yet: let its learner run first"):
        freeze(open_home(tmp_path / "home", small_recipe()))


def one_step(folder: Path) -> Home:
    """Return a home with one version, which was frozen too."""
    with live_system(folder) as system:
        learner = system.learner()
        learner.close()
        freeze(system.home)
        return system.home


@pytest.mark.parametrize("kept", ["frozen", "versions"])
@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("state.safetensors", b""),
        ("state.safetensors", b"\x08\0\0\0\0\0\0\0{}"),
        ("notes.json", b"{"),
        ("notes.json", b"\xff"),
        ("notes.json", b"[]"),
        ("notes.json", b'{"seq": 0}'),
        ("notes.json", b'{"seq": 0, "until": [-5, 0]}'),
        ("notes.json", None),
        ("state.safetensors", None),
    ],
)
def test_a_version_that_is_damaged_is_named(
    tmp_path: Path, kept: str, file: str, found: bytes | None
) -> None:
    home = one_step(tmp_path)
    (name,) = home.versions.names()
    path = home.folder / kept / name / file
    path.unlink() if found is None else path.write_bytes(found)
    with pytest.raises(InputError, match=f"version {name} of .* cannot be (read|used): "):
        frozen(home) if kept == "frozen" else freeze(home)


def test_a_frozen_model_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    home = one_step(tmp_path)
    (name,) = home.frozen.names()
    state = {key: value.copy() for key, value in home.frozen.load(name).items()}
    state["table"]["weight"].flat[0] = np.nan
    home.frozen.save(0, state, home.frozen.notes(name))
    with pytest.raises(InputError, match=f"version {name} of .* cannot be used: .* not finite"):
        frozen(home)


def test_other_files_next_to_frozen_models_are_no_versions(tmp_path: Path) -> None:
    home = one_step(tmp_path)
    (home.folder / "frozen" / "vacation").mkdir()
    assert frozen(home).name == home.frozen.names()[-1]


def test_one_freezes_at_a_time_and_says_so(tmp_path: Path) -> None:
    home = one_step(tmp_path)
    command = [
        sys.executable,
        "-c",
        f"""
from pathlib import Path
from easq.home.home import Home, open_home
with open_home(Path({str(home.folder)!r})).lock("freeze"):
    print(flush=True)
    input()
""",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(InputError, match="has a running freeze already"):
            freeze(home)
        other.communicate(b"\n")
    assert freeze(home) == frozen(home).name


def test_a_folder_that_cannot_be_written_is_a_message(tmp_path: Path) -> None:
    home = one_step(tmp_path)
    shutil.rmtree(home.folder / "frozen")
    (home.folder / "frozen").write_text("in the way")
    with pytest.raises(InputError, match=r"frozen cannot be written: .*exists"):
        freeze(home)
