"""A viewer's events are exported and erased, and everything else continues."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easq.errors import InputError
from easq.features.join import build_joiner
from easq.features.profiles import Profiles
from easq.features.profiles.rebuild import catch_up, resume
from easq.features.profiles.store import ProfileStore
from easq.home.home import open_home
from easq.learn.live_learner import LiveLearner
from easq.learn.privacy import erase, erase_home, expire_home, export
from easq.learn.verify import verify
from easq.log.events import EVENTS, PROFILES, Answered, Erased, ItemUpdate, Request, ViewerUpdate
from easq.log.ids import stable_id
from easq.log.packing import pack_ids
from easq.log.rejects import rejects_of, remove_rejects
from easq.log.sqlite import SqliteLog
from easq.sources.datasets import load
from tests.cli.test_cli import easq
from tests.sources.datasets.test_table import COLUMNS, mapping, view
from tests.support.live_home import LIVE, LiveSystem, event_batches, live_system
from tests.support.small_datasets import NOON, write_csv
from tests.support.small_worlds import small_recipe

# Whoever answers most, so that every part of the system holds something.
USER = Counter(e.user_id for c in event_batches() for e in c if isinstance(e, Answered)).most_common(1)[0][0]
NAME = bytes([0xA0 + len(USER)]) + USER.encode()
"""The id as MessagePack writes it; as a mere part of other bytes it may come by chance."""


def learn_batches(system: LiveSystem, first: int = 0, last: int = 60) -> None:
    """Append batches of the world, and let the learner and the profiles read them and save their state."""
    system.events.append(
        PROFILES, [ViewerUpdate(event_id="t", user_id=USER, ts=1, values={"device": pack_ids([2])})]
    )
    learner = system.learner()
    for batch in event_batches()[first:last]:
        system.append(batch)
        system.clock.now += 0.2
        while learner.tick():
            system.clock.now += 0.1
    learner.close()
    profiles = Profiles.of(system.home.recipe, system.events.partitions(EVENTS))
    with ProfileStore(system.home.profiles_path) as store:
        resume(profiles, store, system.events)


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def buffered(system: LiveSystem) -> np.ndarray[Any, Any]:
    state = system.home.checkpoints.latest()
    assert state is not None
    return state[0]["trainer"]["learner"]["buffer"]["user_A"]


def test_everything_of_a_viewer_is_given_out_and_nothing_of_others(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        learn_batches(system)
        lines = list(export(system.events, USER, system.home.recipe))
        *events, profile = lines
        json.dumps(lines)
        expected = [e for batch in event_batches() for e in batch if e.user_id == USER]
        assert [line["event"]["event_id"] for line in events] == [e.event_id for e in expected] + ["t"]
        assert profile["profile"]["told"] == {"device": [2]}
        request = next(e for e in expected if isinstance(e, Request))
        (result,) = [line["event"] for line in events if line["event"]["event_id"] == request.event_id]
        assert result["viewer"]["segment"] == np.frombuffer(request.viewer["segment"], np.int64).tolist()
        profiles = Profiles.of(system.home.recipe, system.events.partitions(EVENTS))
        catch_up(profiles, system.events)
        assert profile["profile"]["histories"] == profiles.histories_of(USER)
        assert profile["profile"]["histories"]["recent_items"]


def test_an_erased_viewer_is_in_no_file_and_the_system_continues(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        learn_batches(system)
        before = [system.events.read(EVENTS, p, 0, 10**6) for p in range(4)]
        assert stable_id(USER) in buffered(system)
        assert USER.encode() in bytes_of(system.home.folder)
    home = open_home(tmp_path / "home")
    (tmp_path / "home" / "profiles.db.unusable").write_bytes(USER.encode())
    (tmp_path / "home" / "asks").write_bytes(USER.encode())
    result = erase_home(home, [USER])
    assert result["erased"] == {EVENTS: sum(e.user_id == USER for part in before for e in part), PROFILES: 1}
    held = bytes_of(home.folder)
    assert NAME not in held
    assert not [*home.folder.glob("profiles.db*"), *home.folder.glob("asks*")]
    with live_system(tmp_path) as system:
        for part, kept in enumerate(before):
            now = system.events.read(EVENTS, part, 0, 10**6)
            assert [e.ts for e in now] == [e.ts for e in kept]
            is_gone = [isinstance(e, Erased) for e in now]
            assert is_gone == [e.user_id == USER for e in kept]
            assert [e for e in now if not isinstance(e, Erased)] == [e for e in kept if e.user_id != USER]
            system.append(kept)  # whoever repeats what was sent writes nothing
            assert len(system.events.read(EVENTS, part, 0, 10**6)) == len(kept)
        assert stable_id(USER) not in buffered(system)
        assert list(export(system.events, USER, system.home.recipe))[:-1] == []
        profiles = Profiles.of(system.home.recipe, system.events.partitions(EVENTS))
        catch_up(profiles, system.events)
        assert profiles.viewer_values(USER) is None
        assert not any(profiles.histories_of(USER).values())


def test_the_learners_of_arms_forget_too_when_their_experiment_is_over(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        folder = system.home.folder / "arms" / "past.treatment"
        arm = replace(open_home(folder, system.home.recipe), main=system.home.folder)
        with arm.open_updates() as updates:
            learner = LiveLearner(arm, system.events, updates, system.clock, system.clock)
            learner.recover()
            for batch in event_batches():
                system.append(batch)
                learner.tick()
            learner.close()
        assert stable_id(USER) in learner.trainer.learner.state()["buffer"]["user_A"]
        assert NAME in bytes_of(folder)
        erase_home(system.home, [USER])
        assert NAME not in bytes_of(folder)
        latest = arm.checkpoints.latest()
        assert latest is not None
        assert stable_id(USER) not in latest[0]["trainer"]["learner"]["buffer"]["user_A"]
        with arm.open_updates() as updates:
            assert verify(arm, system.events, updates).different == []


def test_verification_starts_at_the_last_erasure_and_finds_no_difference(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        learn_batches(system, 0, 15)
    step = erase_home(open_home(tmp_path / "home"), [USER])["step"]
    with live_system(tmp_path) as system:
        system.clock.now += 1000
        learn_batches(system, 15)
        verified = verify(system.home, system.events, system.updates)
        assert verified.different == []
        assert (verified.since, verified.steps > 5, verified.deltas > 0) == (step, True, True)
        assert verified.checkpoints >= 1
        follower = system.replica()
        while follower.poll():
            pass
        assert follower.status.gaps == 0
    done = easq("verify", "--home", tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert f"steps 1 to {step} are not comparable" in done.stdout


def test_an_erasure_that_is_cut_short_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live_system(tmp_path) as system:
        learn_batches(system, 0, 15)
    home = open_home(tmp_path / "home")

    def dies(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("easq.learn.live_learner.LiveLearner._save_checkpoint", dies)
        with pytest.raises(RuntimeError, match="killed"):
            erase_home(home, [USER])
    assert erase_home(home, [USER])["erased"][EVENTS] > 0
    assert NAME not in bytes_of(home.folder)
    with live_system(tmp_path) as system:
        learn_batches(system, 15)
        assert verify(system.home, system.events, system.updates).different == []


def test_a_running_role_holds_an_erasure_up(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        learn_batches(system, 0, 3)
    for role in ("service", "learner"):
        with _running(role, tmp_path / "home"), pytest.raises(InputError, match=f"running {role} already"):
            erase_home(open_home(tmp_path / "home"), [USER])


def test_what_is_older_than_the_retention_expires(tmp_path: Path) -> None:
    with live_system(tmp_path, "retention.keep_days=0.01") as system:
        learn_batches(system)
        events = [e for p in range(4) for e in system.events.read(EVENTS, p, 0, 10**6)]
    home = open_home(tmp_path / "home")
    middle = sorted(e.ts for e in events)[len(events) // 2]
    expired = expire_home(home, middle + round(0.01 * 86_400_000))
    assert expired["erased"] == {EVENTS: sum(e.ts < middle for e in events)}
    with live_system(tmp_path, "retention.keep_days=0.01") as system:
        left = [e for p in range(4) for e in system.events.read(EVENTS, p, 0, 10**6)]
        assert all(isinstance(e, Erased) == (e.ts < middle) for e in left)
        assert verify(system.home, system.events, system.updates).different == []
    forever = open_home(tmp_path / "home", small_recipe(*LIVE))
    with pytest.raises(InputError, match=r"retention.keep_days: got 0"):
        expire_home(forever, 0)


def test_commands_work_on_a_log_alone(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        learn_batches(system, 0, 10)
    log = tmp_path / "home" / "events.log"
    out = easq("privacy", "export", "--log", log, "--user", USER)
    assert out.returncode == 0, out.stderr
    lines = [json.loads(line) for line in out.stdout.splitlines()]
    assert len(lines) > 3
    assert {line["event"]["user_id"] for line in lines} == {USER}
    kept = easq(
        "privacy", "export", "--home", tmp_path / "home", "--user", USER, "--out", tmp_path / "x.jsonl"
    )
    assert kept.returncode == 0, kept.stderr
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == len(lines) + 1
    log = log.rename(tmp_path / "alone.log")
    gone = easq("privacy", "erase", "--log", log, "--user", USER, "--json")
    assert gone.returncode == 0, gone.stderr
    assert sum(json.loads(gone.stdout)["erased"].values()) == len(lines)
    assert easq("privacy", "export", "--log", log, "--user", USER).stdout == ""
    both = easq("privacy", "erase", "--user", USER)
    assert (both.returncode, "either --home or --log" in both.stderr) == (2, True)


def test_every_form_of_a_name_of_digits_is_exported_and_erased(tmp_path: Path) -> None:
    forms = ["1003", "1003.0", "1003.000", f"1003.{'0' * 123}", "10030"]
    for asked in forms[:4]:
        with SqliteLog(tmp_path / f"{asked}.log") as log:
            log.append(EVENTS, [ViewerUpdate(event_id=f, user_id=f, ts=1, values={}) for f in forms])
            found = {line["event"]["user_id"] for line in export(log, asked, None)}
            assert found == set(forms[:4])
            assert erase(log, [asked])[EVENTS] == 4
            assert [line["event"]["user_id"] for line in export(log, "10030", None)] == ["10030"]


def test_an_empty_id_is_refused_and_erases_nothing(tmp_path: Path) -> None:
    """Updates of items have no viewer: an empty name must not stand for theirs."""
    with SqliteLog(tmp_path / "log") as log:
        log.append(PROFILES, [ItemUpdate(event_id="i", user_id="", ts=1, item_id="a", values={})])
    for verb, more in (("erase", ()), ("erase", ("--user", "ann")), ("export", ())):
        done = easq("privacy", verb, "--log", tmp_path / "log", "--user", "", *more)
        assert (done.returncode, done.stdout) == (2, "")
        assert "user: got an empty id" in done.stderr
    with SqliteLog(tmp_path / "log") as log:
        assert [
            type(event) for p in range(log.partitions(PROFILES)) for event in log.read(PROFILES, p, 0, 9)
        ] == [ItemUpdate]


def test_answers_of_others_train_as_if_the_erased_had_not_been_there(tmp_path: Path) -> None:
    """The join of a log with tombstones gives the examples of a log without the viewer."""
    recipe = small_recipe(*LIVE)
    events = sorted((e for c in event_batches() for e in c), key=lambda e: e.ts)
    erased = [Erased(event_id="", user_id="", ts=e.ts) if e.user_id == USER else e for e in events]
    first, second = build_joiner(recipe), build_joiner(recipe)
    full = [x for e in events for x in first.push(e) if x.request.user_id != USER]
    assert [x for e in erased for x in second.push(e)] == full
    assert second.counts.erased == sum(e.user_id == USER for e in events) > 5
    assert second.take_late() == [late for late in first.take_late() if late.event.user_id != USER]
    assert any(isinstance(e, Answered) and e.user_id == USER for e in events)


_ROLE = """
import sys, pathlib
from easq.home.home import open_home
with open_home(pathlib.Path(sys.argv[2])).lock(sys.argv[1]):
    print("on", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _running(role: str, folder: Path) -> Iterator[None]:
    """Hold a home as a role of its own process would."""
    command = [sys.executable, "-c", _ROLE, role, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        yield
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("way", ["{home}/events.log", "{home}/../home/events.log", "link.log"])
def test_a_log_of_a_home_is_erased_through_its_home_only(tmp_path: Path, way: str) -> None:
    home = open_home(tmp_path / "home", small_recipe(*LIVE))
    with home.open_events() as events:
        events.append(EVENTS, event_batches()[0])
    (tmp_path / "link.log").symlink_to(home.folder / "events.log")
    before = (home.folder / "events.log").read_bytes()
    log = tmp_path / way.format(home=home.folder)
    done = easq("privacy", "erase", "--log", log, "--user", USER, "--user", "v")
    assert done.returncode == 2
    assert f"easq privacy erase --home {home.folder} --user {USER} --user v" in done.stderr
    assert (home.folder / "events.log").read_bytes() == before


def test_a_log_that_belongs_to_no_home_is_erased(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "my.log") as log:
        log.append(EVENTS, event_batches()[0])
    done = easq("privacy", "erase", "--log", tmp_path / "my.log", "--user", event_batches()[0][0].user_id)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", ["home", "log", "expire"])
def test_rows_that_imports_could_not_use_go_with_an_erasure_and_are_named(tmp_path: Path, way: str) -> None:
    folder, viewer = tmp_path / "home", "ann of the rejects"
    log = (tmp_path / "log" if way == "log" else folder) / "events.log"
    if way != "log":
        settings = small_recipe(*LIVE, "retention.keep_days=1")
        open_home(folder, settings)
    rows = [view(viewer, "x", NOON), view(viewer, "x", NOON), view(viewer, "y", "late")]
    load("table", write_csv(tmp_path / "v.csv", COLUMNS, rows), log, mapping(tmp_path / "m"))
    rejects = log.with_name("events.log.rejects.jsonl")
    assert viewer in rejects.read_text()
    place, user = ("--log", log) if way == "log" else ("--home", folder), ("--user", viewer)
    words = ("expire", *place) if way == "expire" else ("erase", *place, *user)
    done = easq("privacy", *words)
    assert done.returncode == 0, done.stderr
    assert f"imports could not use: {rejects}" in " ".join(done.stdout.split())
    assert viewer.encode() not in bytes_of(log.parent)
    if way != "expire":
        again = easq("privacy", *words, "--json")
        assert json.loads(again.stdout)["removed"] == []


def test_rows_beside_a_link_to_a_log_are_removed_too(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a.log")
    files = [rejects_of(tmp_path / name) for name in ("link", "a.log")]
    for file in files:
        file.write_text("{}")
    assert remove_rejects(tmp_path / "link") == [str(file) for file in files]
    assert remove_rejects(tmp_path / "link") == []


def test_an_import_that_was_cut_short_is_removed_with_the_rows_that_it_could_not_use(tmp_path: Path) -> None:
    names = ("new-a.log", "new-a.log-wal", "new-a.log.rejects.jsonl")
    for name in (*names, "a.log", "new-b.log"):
        (tmp_path / name).write_text("{}")
    assert remove_rejects(tmp_path / "a.log") == [str(tmp_path / name) for name in names]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "new-b.log"]
