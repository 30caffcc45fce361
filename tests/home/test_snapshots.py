"""Snapshots are there whole or not at all, whatever happens while they are written."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from easq.errors import InputError
from easq.home.checksums import DamagedError
from easq.home.snapshots import Snapshots, flatten, unflatten


def test_newest_whole_snapshot_is_found_and_two_are_kept(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    assert snapshots.latest() is None
    for step in (1, 20, 300):
        snapshots.save(step, {"x": np.full(3, step), "none": np.zeros((0, 2))}, {"offset": step})
    state, notes = snapshots.latest() or ({}, {})
    assert (state["x"].tolist(), state["none"].shape, notes) == ([300] * 3, (0, 2), {"offset": 300})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000000020", "step-000000000300"]


def test_half_written_snapshot_is_ignored_and_removed(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.save(1, {"x": np.ones(1)}, {})
    half = tmp_path / ".tmp-000000000002"
    half.mkdir()
    (half / "state.safetensors").write_bytes(b"half")
    state, _ = Snapshots(tmp_path).latest() or ({}, {})
    assert state["x"].tolist() == [1]
    snapshots.save(3, {"x": np.ones(1)}, {})
    assert not half.exists()


def test_failed_write_leaves_the_last_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.save(1, {"x": np.ones(1)}, {})

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("easq.home.snapshots.save_file", full)
        with pytest.raises(OSError, match="No space"):
            snapshots.save(2, {"x": np.ones(1)}, {})
    state, _ = Snapshots(tmp_path).latest() or ({}, {})
    assert state["x"].tolist() == [1]


@pytest.mark.parametrize("step", [1, 3])
def test_kill_while_an_old_one_is_removed_leaves_whole_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Step 3 makes step 1 go, step 1 written again takes the place of itself."""
    snapshots = Snapshots(tmp_path)
    snapshots.save(1, {"x": np.ones(1)}, {})
    snapshots.save(2, {"x": np.ones(1)}, {})

    def killed(folder: Path) -> None:
        (folder / "state.safetensors").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("easq.home.snapshots.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            snapshots.save(step, {"x": np.ones(1)}, {})
    assert snapshots.names()
    for name in snapshots.names():
        assert (snapshots.load(name)["x"].tolist(), snapshots.notes(name)) == ([1], {})
    snapshots.save(4, {"x": np.ones(1)}, {})
    assert [path.name[:5] for path in tmp_path.iterdir()] == ["step-", "step-"]


def test_views_of_arrays_are_saved_as_they_look(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    square = np.arange(9).reshape(3, 3)
    snapshots.save(1, {"turned": square.T, "every": square[::2]}, {})
    state, _ = snapshots.latest() or ({}, {})
    assert state["turned"].tolist() == square.T.tolist()
    assert state["every"].tolist() == square[::2].tolist()


def test_some_arrays_are_read_alone_and_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    versions = Snapshots(tmp_path, "v", keep=3)
    name = versions.save(7, {"dense": {"a": np.ones(2)}, "adam": {"a": np.zeros(2)}}, {"seq": 7})
    assert (name, versions.notes(name)) == ("v000000000007", {"seq": 7})
    assert versions.load(name, ["dense"]).keys() == {"dense"}
    with pytest.raises(InputError, match=r"no version 'v8' in .* it holds v000000000007"):
        versions.load("v8")


def test_nested_state_is_flattened_to_paths_and_back() -> None:
    x, y, z = np.ones(2), np.zeros(1), np.arange(3)
    nested = {"a": {"b": x, "c": {"d": y}}, "e": z}
    flat = flatten(nested)
    assert flat == {"a:b": x, "a:c:d": y, "e": z}
    assert unflatten(flat) == nested
    assert unflatten(flatten({"a": {"b": x}}, sep="."), sep=".") == {"a": {"b": x}}
    assert flatten({}) == unflatten({}) == {}


def test_names_that_cannot_be_split_again_are_refused() -> None:
    with pytest.raises(ValueError, match="'a:b' holds ':'"):
        flatten({"a:b": np.ones(1)})
    for clash in ({"a": np.ones(1), "a:b": np.ones(1)}, {"a:b": np.ones(1), "a": np.ones(1)}):
        with pytest.raises(ValueError, match="'a'"):
            unflatten(clash)


def test_a_snapshot_of_an_older_easq_reads_as_one_of_today(tmp_path: Path) -> None:
    versions = Snapshots(tmp_path, "v")
    name = versions.save(7, {"x": np.ones(1)}, {})
    old = {
        "trainer:learner:table.weight": np.ones(1),
        "trainer:learner:dense.model.backbone.weight": np.ones(2),
        "trainer:learner:adam.3.exp_avg": np.ones(3),
        "trainer:learner:told.user_A": np.ones(4),
        "trainer:joiner:0": np.ones(5),
        "guard": np.ones(6),
    }
    save_file(old, tmp_path / name / "state.safetensors")
    (tmp_path / name / "sums.json").unlink()  # such a snapshot has no checksums
    learner = versions.load(name)["trainer"]["learner"]
    assert len(learner["dense"]["model.backbone.weight"]) == 2
    assert [len(part) for part in (learner["adam"]["3"]["exp_avg"], learner["labelled"]["user_A"])] == [3, 4]
    part = versions.load(name, ["trainer:learner:dense"])["trainer"]["learner"]
    assert part.keys() == {"dense"}


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 4  # within the last array, so that the file still parses
    path.write_bytes(data)


DAMAGES = {
    "one bit": lambda folder: _flip(folder / "state.safetensors"),
    "cut off": lambda folder: (folder / "state.safetensors").write_bytes(b"\0" * 11),
    "gone": lambda folder: (folder / "state.safetensors").unlink(),
    "no notes": lambda folder: (folder / "notes.json").write_bytes(b""),
    "notes gone": lambda folder: (folder / "notes.json").unlink(),
    "notes changed": lambda folder: (folder / "notes.json").write_text('{"seq": 3}'),
    "no sums": lambda folder: (folder / "sums.json").write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_snapshot_is_passed_over_and_told(tmp_path: Path, damage: str) -> None:
    snapshots, told = Snapshots(tmp_path), list[str]()
    for number in (1, 2):
        name = snapshots.save(number, {"x": np.full(9, number)}, {"seq": number})
    DAMAGES[damage](tmp_path / name)
    state, notes = snapshots.latest(told.append) or ({}, {})
    assert (state["x"].tolist(), notes) == ([1] * 9, {"seq": 1})
    assert len(told) == 1
    assert f"{name}" in told[0]
    assert "is damaged" in told[0]
    assert snapshots.damage(name) in told[0]
    assert snapshots.damage(snapshots.name(1)) == ""
    with pytest.raises(DamagedError, match="is damaged"):
        _ = (snapshots.load(name, ["x"]), snapshots.notes(name))


@pytest.mark.parametrize("damage", ["cut off", "gone", "no notes", "notes gone"])
def test_a_damaged_snapshot_without_checksums_is_passed_over_too(tmp_path: Path, damage: str) -> None:
    snapshots, told = Snapshots(tmp_path), list[str]()
    for number in (1, 2):
        name = snapshots.save(number, {"x": np.ones(9)}, {"seq": number})
        (tmp_path / name / "sums.json").unlink()
    DAMAGES[damage](tmp_path / name)
    _, notes = snapshots.latest(told.append) or ({}, {})
    assert (notes, len(told)) == ({"seq": 1}, 1)
    assert list(snapshots.readable_notes()) == [snapshots.name(n) for n in (1, 2)][: 2 - ("notes" in damage)]


def test_if_every_snapshot_is_damaged_there_is_none(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    _flip(tmp_path / snapshots.save(1, {"x": np.ones(9)}, {}) / "state.safetensors")
    with pytest.warns(UserWarning, match="its checksum is wrong"):
        assert snapshots.latest() is None
