from pathlib import Path

import numpy as np
import pytest

from easq.learn.checkpoint import Checkpoints


def test_newest_whole_checkpoint_is_found_and_two_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest() is None
    for step in (1, 20, 300):
        checkpoints.save(step, {"x": np.full(3, step), "none": np.zeros((0, 2))}, {"offset": step})
    state, notes = checkpoints.latest() or ({}, {})
    assert (state["x"].tolist(), state["none"].shape, notes) == ([300] * 3, (0, 2), {"offset": 300})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000000020", "step-000000000300"]


def test_half_written_checkpoint_is_ignored_and_removed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"x": np.ones(1)}, {})
    half = tmp_path / ".tmp-000000000002"
    half.mkdir()
    (half / "state.safetensors").write_bytes(b"half")
    state, _ = Checkpoints(tmp_path).latest() or ({}, {})
    assert state["x"].tolist() == [1]
    assert not half.exists()


def test_failed_write_leaves_the_last_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"x": np.ones(1)}, {})

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("easq.learn.checkpoint.save_file", full)
        with pytest.raises(OSError, match="No space"):
            checkpoints.save(2, {"x": np.ones(1)}, {})
    state, _ = Checkpoints(tmp_path).latest() or ({}, {})
    assert state["x"].tolist() == [1]


def test_views_of_arrays_are_saved_as_they_look(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    square = np.arange(9).reshape(3, 3)
    checkpoints.save(1, {"turned": square.T, "every": square[::2]}, {})
    state, _ = checkpoints.latest() or ({}, {})
    assert state["turned"].tolist() == square.T.tolist()
    assert state["every"].tolist() == square[::2].tolist()
