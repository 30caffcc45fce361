"""The folder of a live system: its settings, logs, versions, checkpoints and running roles."""

import contextlib
import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from easq.errors import InputError, SettingsError
from easq.home.files import create_file, replace_file
from easq.home.snapshots import JsonObject, Snapshots, StoredState
from easq.log.sqlite import SqliteLog
from easq.recipe.read import read_kept_recipe, to_toml
from easq.recipe.recipe import MethodReader, Recipe, UnreadMethod, unread_method

_MAY_CHANGE = (
    *("live", "service", "ask", "quality", "retention", "evaluation", "data", "name"),
    *("experiments", "assignment", "metrics", "explore"),
)
"""Tables of a recipe that may change when a live system restarts."""

_MOST_FROZEN = 10
_LOCKED_FOLDERS = {"service": ".", "learner": "versions"}


@dataclass(frozen=True)
class Home:
    """A live system's folder and its recipe.

    The home of one arm's model reads the events of the system whose folder is `main`.
    """

    folder: Path
    recipe: Recipe
    main: Path | None = None

    @property
    def versions(self) -> Snapshots:
        """Full versions of the parameters: rankers start from them, and a rollback goes back to one."""
        return Snapshots(self.folder / "versions", "v", self.recipe.live.keep_versions)

    @property
    def frozen(self) -> Snapshots:
        """Parameters that `easq ab freeze` keeps, whatever the learner does later."""
        return Snapshots(self.folder / "frozen", "v", _MOST_FROZEN)

    @property
    def checkpoints(self) -> Snapshots:
        """The learner's checkpoints."""
        return Snapshots(self.folder / "checkpoints")

    @property
    def erasures(self) -> Snapshots:
        """The learner's state after the last erasure, from which `easq verify` starts."""
        return Snapshots(self.folder / "erasures", keep=1)

    def erasure(self, seq: int) -> StoredState:
        """Return the trainer's state after the erasure of step `seq`."""
        erasures = self.erasures
        trainer: StoredState = erasures.load(erasures.name(seq), ["trainer"])["trainer"]
        return trainer

    @property
    def keys_path(self) -> Path:
        """The file of API keys."""
        return self.folder / "keys.json"

    @property
    def profiles_path(self) -> Path:
        """The store of viewer and item profiles."""
        return self.folder / "profiles.db"

    @property
    def asks_path(self) -> Path:
        """The file with the state of asking."""
        return self.folder / "asks"

    @property
    def past(self) -> Path:
        """The folder of what `easq renew` has set aside."""
        return self.folder / "past"

    @property
    def secret_path(self) -> Path:
        """The file with the secret that signs asks and salts their sampling."""
        return self.folder / "secret"

    def open_events(self, locked_s: float = 30.0) -> SqliteLog:
        """Open the log of requests, behaviors, asks, answers and profile updates.

        Raises InputError if it is gone, though something was learned from it, instead of starting a new one.
        """
        folder = self.main or self.folder
        path = folder / "events.log"
        if not path.exists() and (folder / "updates.log").exists():
            raise InputError(
                f"{path} was removed. Put it back; or move updates.log, checkpoints and versions away too: "
                "then the system begins anew"
            )
        return SqliteLog(path, locked_s=locked_s)

    def open_updates(self) -> SqliteLog:
        """Open the log of the learner's steps and of its updates to rankers.

        It is a separate file, so that publishing never delays viewers.
        """
        return SqliteLog(self.folder / "updates.log", partitions=1)

    @contextlib.contextmanager
    def lock(self, role: str) -> Iterator[None]:
        """Hold the folder for one process of this role. Raises InputError if another process holds it.

        A lock file may be deleted, and its lock is then on nothing. So service and learner also lock a folder
        that is as old as the home.
        """
        with contextlib.ExitStack() as held:
            try:
                handles = [held.enter_context((self.folder / f".{role}.lock").open("w")).fileno()]
                if role in _LOCKED_FOLDERS:
                    folder = self.folder / _LOCKED_FOLDERS[role]
                    folder.mkdir(exist_ok=True)
                    handles.append(os.open(folder, os.O_RDONLY))
                    held.callback(os.close, handles[-1])
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):  # may be temporary
                    raise
                raise InputError(f"--home: {self.folder} cannot be written: {error.strerror}") from None
            try:
                fcntl.lockf(handles[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
                for handle in handles[1:]:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{self.folder} has a running {role} already; stop it first") from None
            yield

    def write_status(self, role: str, status: JsonObject) -> None:
        """Write a role's status, with the time `at` (seconds), for others to read. May raise OSError."""
        # Not forced to disk: a status is out of date after a second, and the log waits for the same disk.
        replace_file(self.folder / f"{role}.json", json.dumps(status), durable=False)

    def read_status(self, role: str) -> JsonObject:
        """Return the last status that a role wrote; empty if none can be read."""
        try:
            status = json.loads((self.folder / f"{role}.json").read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        is_status = isinstance(status, dict) and isinstance(status.get("at"), float)
        return status if is_status else {}


def open_home(
    folder: Path,
    recipe: Recipe | None = None,
    methods: MethodReader = unread_method,
    *,
    draws_salt: bool = False,
) -> Home:
    """Return the home in `folder`. With `recipe`, make it if there is none, or change its settings.

    A recipe that names no `row_salt` has that of the home. A new home draws one if it `draws_salt`.

    Settings may change how the system runs but not what it computes: raises SettingsError, naming the
    tables that differ from those the home was made with. Raises InputError for a folder that holds
    something else or cannot be written. Without `recipe` nothing is written, and `methods` reads the table
    `[method]`; with `recipe` it is read as that of `recipe` was, which must have been read by a reader that
    knows the method (TypeError), because a table as written does not say what its defaults are.
    """
    if recipe is not None and isinstance(recipe.method, UnreadMethod):
        raise TypeError("a home keeps complete settings: read its recipe with methods=read_method")
    settings, identity = folder / "settings.toml", folder / "identity.toml"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--home: {folder} is a file; name a folder")
    if not settings.exists():
        if recipe is None:
            raise InputError(f"--home: {folder} holds no live system; `easq up --recipe` makes one")
        salted = with_salt(recipe) if draws_salt else recipe
        with _as_input_error(folder):
            if _make(folder, salted):
                return Home(folder, salted)
    methods = methods if recipe is None else recipe.method.reader
    stored = read_kept_recipe(settings, methods)
    if recipe is not None and not recipe.row_salt:
        recipe = replace(recipe, row_salt=stored.row_salt)
    wanted = stored if recipe is None else recipe
    _check_same(folder, read_kept_recipe(identity, methods) if identity.exists() else stored, wanted)
    if recipe is not None:
        with _as_input_error(folder):
            if not identity.exists():
                replace_file(identity, to_toml(stored))
            if recipe != stored:
                replace_file(settings, to_toml(recipe))
    return Home(folder, wanted)


def home_of(log: Path) -> Path | None:
    """Return the folder of the live system that a log file belongs to, None if it belongs to none."""
    folder = log.resolve().parent
    return folder if (folder / "settings.toml").exists() else None


def with_salt(recipe: Recipe) -> Recipe:
    """Return a recipe with a salt of its own, if it has none."""
    return recipe if recipe.row_salt else replace(recipe, row_salt=1 + secrets.randbelow((1 << 62) - 1))


def _make(folder: Path, recipe: Recipe) -> bool:
    """Write the settings; return False if another process made the home meanwhile."""
    # Hidden files are not user data; another process may be writing one now.
    settings = folder / "settings.toml"
    is_used = folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir())
    if is_used and not settings.exists():
        raise InputError(f"--home: {folder} holds something else than a live system; choose another")
    folder.mkdir(parents=True, exist_ok=True)
    # The settings make it a home. Until the identity is written, the settings stand in for it.
    if not create_file(settings, to_toml(recipe)):
        return False
    replace_file(folder / "identity.toml", to_toml(recipe))
    return True


def _check_same(folder: Path, made: Recipe, wanted: Recipe) -> None:
    differing = [
        key
        for key in Recipe.__struct_fields__
        if key not in _MAY_CHANGE and getattr(made, key) != getattr(wanted, key)
    ]
    if differing:
        raise SettingsError(
            f"{folder} was made with other settings (its identity.toml); these differ: "
            f"{', '.join(differing)}. While its log and parameters are kept only {', '.join(_MAY_CHANGE)} "
            "may change; put the others back, choose another --home, or stop the system and run `easq renew`"
            ": it keeps the log, from which everything is learned anew"
        )


@contextlib.contextmanager
def _as_input_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"--home: {folder} cannot be written: {error.strerror}") from None
