"""What failed before it learned anything leaves a folder that the same command can use again."""

from pathlib import Path

import pytest

from easq.errors import InputError
from easq.log.events import EVENTS
from easq.log.sqlite import SqliteLog
from easq.prove.offline.replay import RunFolderError, holds_results, replay
from tests.support.small_worlds import small_recipe, world_events


@pytest.fixture
def log(tmp_path: Path) -> Path:
    with SqliteLog(tmp_path / "w.log") as log:
        log.append(EVENTS, world_events(400))
    return tmp_path / "w.log"


@pytest.mark.parametrize("resume", [False, True])
def test_a_recipe_that_does_not_fit_the_log_blocks_no_folder(
    log: Path, tmp_path: Path, *, resume: bool
) -> None:
    sides = ("viewer", "candidate")
    others = [f'{{name="a_{side}", kind="categorical", side="{side}", rows=64}}' for side in sides]
    wrong = small_recipe(f"features=[{', '.join(others)}]", "method.kind=behavior")
    out = tmp_path / "out"
    with SqliteLog(log) as events:
        with pytest.raises(InputError, match="none of the recipe's features"):
            replay(wrong, events, out)
        assert (out / "checkpoints").exists()
        assert not holds_results(out)
        replay(small_recipe(), events, out, resume)
        assert holds_results(out)
        straight = tmp_path / "straight"
        replay(small_recipe(), events, straight)
    for name in ("metrics.json", "parameters.safetensors", "late.jsonl", "settings.toml"):
        assert (out / name).read_bytes() == (straight / name).read_bytes()


def test_a_start_that_was_killed_takes_another_log(log: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other.log"

    def stop(done: int, _: int) -> None:
        raise InterruptedError

    with SqliteLog(other) as events:
        events.append(EVENTS, world_events(40, seed=2))
        with pytest.raises(InterruptedError):
            replay(small_recipe("training.batch_rows=4096"), events, out, on_progress=stop)
    with SqliteLog(log) as events:
        with pytest.raises(RunFolderError, match="name that one, or leave out --resume"):
            replay(small_recipe("training.batch_rows=4096"), events, out, resume=True)
        replay(small_recipe("training.batch_rows=4096"), events, out)


def test_a_run_that_has_learned_is_not_begun_anew_without_being_told(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def stop(done: int, _: int) -> None:
        raise InterruptedError

    recipe = small_recipe("training.batch_rows=32")
    with SqliteLog(log) as events:
        with pytest.raises(InterruptedError):
            replay(recipe, events, out, on_progress=stop)
        assert holds_results(out)
        with pytest.raises(RunFolderError, match="--resume goes on with it"):
            replay(recipe, events, out)
        replay(recipe, events, out, resume=True)
    assert not (out / "checkpoints").exists()
