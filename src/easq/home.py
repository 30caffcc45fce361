"""The folder of a live system: its settings, logs, versions, checkpoints, and who runs in it."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easq.errors import InputError
from easq.log.sqlite import SqliteLog
from easq.schema import Recipe
from easq.settings import SettingsError, read_recipe, to_toml
from easq.snapshots import Snapshots, State

_MAY_CHANGE = ("live", "service", "ask", "quality", "retention", "evaluation", "data", "name")
"""Tables of a recipe that a live system may be restarted with in another form."""


@dataclass(frozen=True)
class Home:
    """A live system's folder and the recipe that it runs by."""

    folder: Path
    recipe: Recipe

    @property
    def versions(self) -> Snapshots:
        """Full versions of the parameters: what rankers start from, with what a rollback needs."""
        return Snapshots(self.folder / "versions", "v", self.recipe.live.keep_versions)

    @property
    def checkpoints(self) -> Snapshots:
        """The learner's checkpoints."""
        return Snapshots(self.folder / "checkpoints")

    @property
    def erasures(self) -> Snapshots:
        """Where the learner stood after the last erasure, which is what `easq verify` begins from."""
        return Snapshots(self.folder / "erasures", kept=1)

    def erasure(self, seq: int) -> State:
        """Return the trainer's state that the erasure of step `seq` left."""
        erasures, part = self.erasures, "trainer:"
        state = erasures.load(erasures.name(seq), [part])
        return {name.removeprefix(part): value for name, value in state.items()}

    @property
    def keys_path(self) -> Path:
        """The file of API keys."""
        return self.folder / "keys.json"

    @property
    def profiles_path(self) -> Path:
        """The store of viewer and item profiles."""
        return self.folder / "profiles.db"

    @property
    def secret_path(self) -> Path:
        """The file of the secret that signs asks and salts their sampling."""
        return self.folder / "secret"

    def open_events(self, locked_s: float = 30.0) -> SqliteLog:
        """Open the log of everything that was served, done, said and told."""
        return SqliteLog(self.folder / "events.log", locked_s=locked_s)

    def open_updates(self) -> SqliteLog:
        """Open the log of the learner's steps and of its updates to rankers.

        It is a file of its own, so that publishing never holds up what viewers wait for.
        """
        return SqliteLog(self.folder / "updates.log", partitions=1)

    @contextlib.contextmanager
    def alone(self, role: str) -> Iterator[None]:
        """Hold the folder for one process of this role; raises InputError when another has it."""
        with (self.folder / f".{role}.lock").open("w") as lock:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"{self.folder} has a running {role} already; stop it first") from None
            yield

    def tell(self, role: str, status: dict[str, Any]) -> None:
        """Leave a role's status for others to read; never half written."""
        path = self.folder / f"{role}.json"
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(status))
        part.replace(path)

    def told(self, role: str) -> dict[str, Any]:
        """Return the last status that a role left; empty before it left any."""
        try:
            status: dict[str, Any] = json.loads((self.folder / f"{role}.json").read_text())
        except FileNotFoundError:
            return {}
        return status


def open_home(folder: Path, recipe: Recipe | None = None) -> Home:
    """Return the home in `folder`, made there if `recipe` is given and there is none.

    A recipe that comes later may change how the system runs but not what it computes: raises
    SettingsError, naming what differs. Raises InputError for a folder of something else.
    """
    settings = folder / "settings.toml"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--home: {folder} is a file; name a folder")
    if not settings.exists():
        if recipe is None:
            raise InputError(f"--home: {folder} holds no live system; `easq up --recipe` makes one")
        if folder.exists() and any(folder.iterdir()):
            raise InputError(f"--home: {folder} holds something else than a live system; choose another")
        folder.mkdir(parents=True, exist_ok=True)
        _write(settings, to_toml(recipe))
        return Home(folder, recipe)
    kept = read_recipe(settings)
    if recipe is None:
        return Home(folder, kept)
    differing = [
        key
        for key in Recipe.__struct_fields__
        if key not in _MAY_CHANGE and getattr(kept, key) != getattr(recipe, key)
    ]
    if differing:
        raise SettingsError(
            f"{folder} runs by another recipe; these differ: {', '.join(differing)}. While its log and "
            f"parameters are kept only {', '.join(_MAY_CHANGE)} may change; choose another --home"
        )
    _write(settings, to_toml(recipe))
    return Home(folder, recipe)


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)
