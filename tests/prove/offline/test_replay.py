import json
import multiprocessing
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from easq.log.events import EVENTS, Behavior
from easq.log.sqlite import SqliteLog
from easq.model.method import methods
from easq.prove.offline.replay import RunFolderError, replay
from easq.recipe.read import SettingsWarning
from tests.support.method_learners import read_by
from tests.support.replay_process import make_log, run
from tests.support.small_worlds import small_recipe, world_events

RESULTS = (
    *("metrics.json", "parameters.safetensors", "late.jsonl", "report.html", "settings.toml"),
    *("scores.parquet", "tally.parquet"),
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_log(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def straight(log: Path) -> dict[str, bytes]:
    run(log, log.parent / "straight", resume=False)
    return results(log.parent / "straight")


@pytest.fixture(scope="module")
def short_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_log(tmp_path_factory.mktemp("short"), views=1200)


def results(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in RESULTS}


def test_equal_runs_give_equal_bytes(log: Path, straight: dict[str, bytes], tmp_path: Path) -> None:
    run(log, tmp_path / "again", resume=False)
    assert results(tmp_path / "again") == straight


def killed_and_resumed(log: Path, out: Path, kills: int, seed: int, *overrides: str) -> int:
    """Kill a replay `kills` times at random moments, then let it finish; return kills that hit."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.replay_process"])
    moment, hit = random.Random(seed), 0
    while True:
        process = context.Process(target=run, args=(log, out, True, *overrides))
        process.start()
        if hit < kills:
            # Counted from the run's first sign of life, so that a slow start is not all that is killed.
            waited = time.monotonic() + 60
            while not (out / "checkpoints").exists() and process.is_alive() and time.monotonic() < waited:
                time.sleep(0.001)
            time.sleep(moment.uniform(0, 0.6))
            process.kill()
        process.join(120)
        if process.exitcode == 0:
            return hit
        assert process.exitcode == -signal.SIGKILL
        hit += 1


def test_killed_replay_resumes_to_the_same_bytes(
    log: Path, straight: dict[str, bytes], tmp_path: Path
) -> None:
    assert killed_and_resumed(log, tmp_path / "out", kills=5, seed=1) >= 3
    assert results(tmp_path / "out") == straight


@pytest.mark.parametrize("method", [m for m in methods() if m != "easq"])
def test_killed_replay_of_every_method_resumes_to_the_same_bytes(
    short_log: Path, tmp_path: Path, method: str
) -> None:
    settings = (f"method.kind={method}", "training.checkpoint_steps=2", *read_by(method, serving_steps=5))
    run(short_log, tmp_path / "straight", False, *settings)
    assert killed_and_resumed(short_log, tmp_path / "out", 1, 1, *settings) == 1
    assert results(tmp_path / "out") == results(tmp_path / "straight")


@pytest.mark.slow
def test_replay_killed_at_twenty_random_moments_resumes_to_the_same_bytes(
    log: Path, straight: dict[str, bytes], tmp_path: Path
) -> None:
    total = 0
    for seed in range(100):
        out = tmp_path / str(seed)
        total += killed_and_resumed(log, out, kills=4, seed=seed)
        assert results(out) == straight
        if total >= 20:
            return
    pytest.fail(f"only {total} kills hit a running replay")


def test_result_counts_agree_with_the_log(log: Path, straight: dict[str, bytes]) -> None:
    result = json.loads(straight["metrics.json"])
    with SqliteLog(log) as events:
        assert result["counts"]["events"] == sum(events.end_offsets(EVENTS))
    assert result["views"] == 3000
    assert result["answers"] == result["counts"]["answers"] > 100
    assert {"auc/long_view", "gauc/long_view", "sat/auc", "sat/pair_accuracy", "sat/hr@1"} <= result[
        "metrics"
    ].keys()
    assert {"sat/ndcg@5", "sat/mrr", "popularity/sat/mrr", "random/auc/like"} <= result["metrics"].keys()


def test_events_that_come_to_nothing_are_written_down(tmp_path: Path) -> None:
    stray = Behavior(
        event_id="stray", user_id="u1", ts=world_events(1)[0].ts, request_id="nowhere", items=["a"], values={}
    )
    with SqliteLog(tmp_path / "log", partitions=1) as log:
        log.append(EVENTS, [*world_events(40), stray])
        result = replay(small_recipe(), log, tmp_path / "out").result
    (line,) = [json.loads(line) for line in (tmp_path / "out" / "late.jsonl").read_text().splitlines()]
    assert (line["reason"], line["event"]["event_id"]) == ("orphan", "stray")
    assert result.counts["orphans"] == 1


def test_missing_feature_is_named_and_unknown(tmp_path: Path) -> None:
    recipe = small_recipe("features.style.name=colour")
    with SqliteLog(tmp_path / "log") as log:
        log.append(EVENTS, world_events(20))
        with pytest.warns(SettingsWarning, match="examples lack the feature 'colour'"):
            replay(recipe, log, tmp_path / "out")


def test_folder_of_something_else_is_left_alone(log: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunFolderError, match="holds something else than a run"):
        run(log, tmp_path, resume=False)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_unfinished_run_is_neither_overwritten_nor_resumed_with_other_settings(
    log: Path, tmp_path: Path
) -> None:
    def stop(done: int, _: int) -> None:
        raise InterruptedError

    with SqliteLog(log) as events:
        with pytest.raises(InterruptedError):
            replay(small_recipe(), events, tmp_path, on_progress=stop)
        with pytest.raises(RunFolderError, match="--resume goes on with it"):
            replay(small_recipe(), events, tmp_path)
        with pytest.raises(RunFolderError, match="other settings: rank = 3"):
            replay(small_recipe("method.rank=3"), events, tmp_path, resume=True)
        # A run of an easq that did not know a setting yet has the setting's default.
        settings = tmp_path / "settings.toml"
        older = [line for line in settings.read_text().splitlines() if not line.startswith("probe_dim")]
        settings.write_text("\n".join(older))
        replay(small_recipe(), events, tmp_path, resume=True)


def _interrupted(log: Path, out: Path) -> None:
    def stop(done: int, _: int) -> None:
        raise InterruptedError

    with SqliteLog(log) as events, pytest.raises(InterruptedError):
        replay(small_recipe(), events, out, on_progress=stop)


@pytest.mark.parametrize("kind", ["one more at the start", "another partition count", "shorter", "changed"])
def test_a_run_is_not_resumed_with_another_log(short_log: Path, tmp_path: Path, kind: str) -> None:
    _interrupted(short_log, tmp_path / "out")
    events = sorted(world_events(1200), key=lambda event: event.ts)
    if kind == "one more at the start":
        events = [
            msgspec.structs.replace(event, event_id=f"{event.event_id}x") for event in events[:1]
        ] + events
    elif kind == "shorter":
        events = events[: len(events) // 4]
    elif kind == "changed":
        events = [msgspec.structs.replace(event, ts=event.ts + 1) for event in events]
    other = tmp_path / "other.log"
    with SqliteLog(other, 2 if kind == "another partition count" else 4) as log:
        log.append(EVENTS, events)
    with SqliteLog(other) as log, pytest.raises(RunFolderError, match="was started with another log"):
        replay(small_recipe(), log, tmp_path / "out", resume=True)
    with SqliteLog(short_log) as log:
        replay(small_recipe(), log, tmp_path / "out", resume=True)


def test_a_log_that_grew_is_the_same_log(short_log: Path, tmp_path: Path) -> None:
    grown = tmp_path / "grown.log"
    shutil.copy(short_log, grown)
    _interrupted(grown, tmp_path / "out")
    with SqliteLog(grown) as log:
        log.append(EVENTS, [Behavior(event_id="new", user_id="u", ts=1, request_id="r", items=[], values={})])
        replay(small_recipe(), log, tmp_path / "out", resume=True)


def test_two_processes_cannot_replay_into_one_folder(log: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    holder = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, 2); print(1, flush=True); input()"
    command = [sys.executable, "-c", holder, str(tmp_path / "out" / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(RunFolderError, match="another process replays into"):
            run(log, tmp_path / "out", resume=True)
        process.communicate(b"\n")
    run(log, tmp_path / "out", resume=True)


def test_empty_log_is_a_result_without_metrics(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log") as log:
        result = replay(small_recipe(), log, tmp_path / "out").result
    assert (result.views, result.metrics) == (0, {})
