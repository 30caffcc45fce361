"""Named arrays on disk: one directory per snapshot, complete or absent.

A snapshot is written beside its final place, forced to disk and renamed, so a kill at any instant leaves
the last complete one. The rename marks it as ready: a listing of the folder holds only complete snapshots.
Each file has a checksum, which is verified when the file is read; those of an older easq have none.
Checkpoints of a run and versions of the parameters are both snapshots.
"""

import json
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from easq.errors import InputError
from easq.home.checksums import DamagedError, check_file, write_sums
from easq.home.files import force_to_disk

Array = NDArray[np.generic]

State = dict[str, Array]
"""Named arrays: what a component needs to continue exactly where it stopped."""

Nested = Mapping[str, Union[Array, "Nested"]]
"""What a component's `state` returns and its `restore` continues from: a tree of arrays by name."""


StoredState = dict[str, Any]
"""A nested state as it was read from disk: the part that wrote it knows which names hold arrays."""

JsonObject = dict[str, Any]
"""What is written as one JSON object, such as a status or the notes of a snapshot."""


def flatten(state: Nested, sep: str = ":") -> State:
    """Return a nested state as one mapping; names are the paths. `unflatten` is the inverse.

    Empty parts are lost. Raises ValueError for a name that holds `sep`, which could not be split again.

    >>> flatten({"a": {"b": np.int64(1)}})
    {'a:b': np.int64(1)}
    """
    flat: State = {}
    for name, part in state.items():
        if sep in name:
            raise ValueError(f"the name {name!r} holds {sep!r}, which separates names")
        if isinstance(part, Mapping):
            flat |= {f"{name}{sep}{path}": array for path, array in flatten(part, sep).items()}
        else:
            flat[name] = part
    return flat


def unflatten(state: Mapping[str, Array], sep: str = ":") -> StoredState:
    """Return a flat state as nested mappings, split at `sep`.

    Raises ValueError if one name is both an array and a part.

    >>> unflatten({"a:b": np.int64(1), "c": np.int64(2)})
    {'a': {'b': np.int64(1)}, 'c': np.int64(2)}
    """
    nested: StoredState = {}
    for path, array in state.items():
        *parts, name = path.split(sep)
        place = nested
        for part in parts:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ValueError(f"{path!r}: {part!r} is an array, not a part")  # noqa: TRY004 - of a value
        if name in place:
            raise ValueError(f"{path!r} is both an array and a part")
        place[name] = array
    return nested


def copy_state(state: Nested) -> Nested:
    """Return the same state in memory of its own."""
    return {
        name: copy_state(part) if isinstance(part, Mapping) else np.array(part)
        for name, part in state.items()
    }


_UNFINISHED = ".tmp-"
_STATE, _NOTES = "state.safetensors", "notes.json"
_OLD_PARTS = re.compile(r"(^|:)(table|dense|buffer|adam|told)\.")
_OLD_MOMENT = re.compile(r"(^|:)adam\.(\d+)\.")


def _today(name: str) -> str:
    """Return an array's name as it is written today; in 0.1 some parts of a learner ended with a dot.

    >>> _today("trainer:learner:adam.3.exp_avg"), _today("told.user_A"), _today("dense:model.backbone.weight")
    ('trainer:learner:adam:3:exp_avg', 'labelled:user_A', 'dense:model.backbone.weight')
    """
    name = _OLD_MOMENT.sub(r"\1adam:\2:", name, count=1)
    name = _OLD_PARTS.sub(r"\1\2:", name, count=1)
    return re.sub(r"(^|:)told:", r"\1labelled:", name, count=1)


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


class Snapshots:
    """The snapshots in `folder`, named `prefix` and a number. The newest `keep` stay.

    Any number of processes may read, one may write.
    """

    def __init__(self, folder: Path, prefix: str = "step-", keep: int = 2) -> None:
        self._folder, self._prefix, self._keep = folder, prefix, keep

    def name(self, number: int) -> str:
        """Return the name of a snapshot. Names sort as their numbers do."""
        return f"{self._prefix}{number:012d}"

    def save(self, number: int, state: Nested, notes: JsonObject) -> str:
        """Write a snapshot and return its name. It never exists in part."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in self._folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(old)
        name = self.name(number)
        unfinished = self._folder / f"{_UNFINISHED}{name}"
        unfinished.mkdir()
        arrays = {key: np.ascontiguousarray(value) for key, value in flatten(state).items()}
        save_file(arrays, unfinished / _STATE)
        (unfinished / _NOTES).write_text(json.dumps(notes))
        write_sums(unfinished, (_STATE, _NOTES))
        for path in (*unfinished.iterdir(), unfinished):
            force_to_disk(path)
        self._remove([name])
        unfinished.rename(self._folder / name)
        force_to_disk(self._folder)
        self._remove(self.names()[: -self._keep])
        return name

    def keep_newest(self) -> None:
        """Remove all snapshots but the newest."""
        self._remove(self.names()[:-1])

    def _remove(self, names: Sequence[str]) -> None:
        """Remove snapshots. They are renamed first, so that listed ones are complete even after a kill."""
        for name in names:
            if (self._folder / name).exists():
                (self._folder / name).rename(self._folder / f"{_UNFINISHED}old-{name}")
        for old in self._folder.glob(f"{_UNFINISHED}old-*"):
            shutil.rmtree(old)

    def names(self) -> list[str]:
        """Return the names of the complete snapshots, oldest first."""
        names = (path.name for path in self._folder.glob(f"{self._prefix}*"))
        return sorted(name for name in names if name.removeprefix(self._prefix).isdecimal())

    def latest(self, tell: Callable[[str], object] = _warn) -> tuple[StoredState, JsonObject] | None:
        """Return state and notes of the newest snapshot that is whole, None if there is none.

        `tell` gets a line about each damaged one that is passed over.
        """
        for name in reversed(self.names()):
            try:
                return self.load(name), self.notes(name)
            except DamagedError as error:
                tell(f"{error}; the one before it is used")
        return None

    def readable_notes(self) -> dict[str, JsonObject]:
        """Return the notes of the snapshots by name, oldest first, without those whose notes are damaged."""
        found = {}
        for name in self.names():
            try:
                found[name] = self.notes(name)
            except (DamagedError, OSError):
                continue
        return found

    def damage(self, name: str) -> str:
        """Return what is damaged of a snapshot, empty if it is whole. Raises InputError as `load` does."""
        try:
            self.load(name)
            self.notes(name)
        except DamagedError as error:
            return str(error)
        return ""

    def load(self, name: str, parts: Sequence[str] = ()) -> StoredState:
        """Return the nested state of a snapshot, or only the parts named by their paths (`table:weight`).

        The whole file is verified, whatever is read of it. Raises InputError, naming the existing snapshots,
        if there is none of this name, and DamagedError.
        """
        with self._reading(name, _STATE) as path:
            if not parts:
                return unflatten({_today(key): array for key, array in load_file(path).items()})
            with safe_open(path, "np") as file:
                wanted = {key: _today(key) for key in file.keys()}  # noqa: SIM118 - no iterator
                return unflatten(
                    {
                        path: file.get_tensor(key)
                        for key, path in wanted.items()
                        if any(path == part or path.startswith(f"{part}:") for part in parts)
                    }
                )

    def notes(self, name: str) -> JsonObject:
        """Return the notes of a snapshot. Raises what `load` raises."""
        with self._reading(name, _NOTES) as path:
            notes = json.loads(path.read_text())
            if not isinstance(notes, dict):
                raise ValueError("it holds no JSON object")  # noqa: TRY004 - of a file
            return notes

    @contextmanager
    def _reading(self, name: str, file: str) -> Iterator[Path]:
        """Yield the path of a file of a snapshot, checked; tell apart what is damaged and what is removed."""
        self._require(name)
        folder = self._folder / name
        try:
            check_file(folder, file)
            yield folder / file
        except FileNotFoundError as error:
            if folder.exists() and not (folder / file).exists():
                raise DamagedError(f"{folder} is damaged: it lacks {file}") from error
            raise
        except DamagedError:
            raise
        except (ValueError, SafetensorError) as error:
            raise DamagedError(f"{folder / file} is damaged: {error}") from error

    def _require(self, name: str) -> None:
        names = self.names()
        if name not in names:
            raise InputError(f"there is no version {name!r} in {self._folder}; it holds {', '.join(names)}")


def save_parameters(path: Path, state: Mapping[str, Any]) -> None:
    """Write the parameters of a learner's state, without optimizer and buffer."""
    dense = {f"dense.{name}": np.ascontiguousarray(value) for name, value in state["dense"].items()}
    tables = {
        f"table.{name}": np.ascontiguousarray(state["table"][name])
        for name in ("weight", "crosses")
        if name in state["table"]
    }
    save_file({**dense, **tables}, path)


def load_parameters(path: Path) -> StoredState:
    """Return what `save_parameters` wrote, in the form that `Parameters.replace` takes."""
    state: StoredState = {"dense": {}, "table": {}}
    for name, array in load_file(path).items():
        part, _, rest = name.partition(".")
        state[part][rest] = array
    return state
