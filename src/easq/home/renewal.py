"""Give a home other settings and keep its log: everything is then learned anew from the log.

What was computed with the old settings is set aside in `past/`, and nothing of it is read any more.
"""

import shutil
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace

from easq.errors import InputError, SettingsError
from easq.home.arm_homes import open_arms
from easq.home.files import replace_file
from easq.home.home import Home, open_home
from easq.log.events import EVENTS, PROFILES
from easq.log.sqlite import SqliteLog
from easq.recipe.read import to_toml
from easq.recipe.recipe import Recipe

_COMPUTED = (
    *("checkpoints", "versions", "frozen", "erasures", "arms", "asks", "learner.json"),
    *(f"{name}{part}" for name in ("updates.log", "profiles.db") for part in ("", "-wal", "-shm")),
)
"""What follows from the log and the settings."""
_KEPT_COPIES = ("identity.toml", "settings.toml")


def renew_home(folder: Path, recipe: Recipe) -> tuple[Home, Path]:
    """Make the home in `folder` one of `recipe`; return it and the folder of what was set aside.

    A kill leaves a home of the old settings or of the new ones, whose learner learns anew. Raises InputError
    while a role runs, and for an arm that is fixed at a version, because that is one of the old settings.
    """
    old = open_home(folder, methods=recipe.method.reader)
    if not recipe.row_salt:
        recipe = replace(recipe, row_salt=old.recipe.row_salt)
    for experiment in recipe.experiments:
        for arm in experiment.arms:
            if arm.version:
                raise InputError(
                    f"experiments.{experiment.name}.arms.{arm.name}.version: got {arm.version}, a version of "
                    "the old settings; end the experiment first"
                )
    with ExitStack() as locks:
        for role in ("service", "learner"):
            locks.enter_context(old.lock(role))
        past = _new_folder(old.past)
        for name in _KEPT_COPIES:
            if (folder / name).exists():
                shutil.copy2(folder / name, past / name)
        for name in _COMPUTED:
            if (folder / name).exists():
                (folder / name).rename(past / name)
        # Without an identity the settings stand in for it, so at any instant the two agree.
        (folder / "identity.toml").unlink(missing_ok=True)
        for name in reversed(_KEPT_COPIES):
            replace_file(folder / name, to_toml(recipe))
    return Home(folder, recipe), past


def home_to_start(folder: Path, recipe: Recipe) -> Home:
    """Return the home in `folder`, made or changed as `open_home` does, with the homes of its arms.

    A home that holds no event yet, as a start that failed leaves it, takes any settings: what it holds is set
    aside in `past/`. Raises what `open_home` and `open_arms` raise.
    """
    try:
        home = open_home(folder, recipe, draws_salt=True)
    except SettingsError:
        if num_events(folder):
            raise
        home, _ = renew_home(folder, recipe)
    try:
        open_arms(home)
    except SettingsError:
        arms = folder / "arms"
        if not arms.exists() or num_events(folder):
            raise
        arms.rename(_new_folder(home.past) / arms.name)
        open_arms(home)
    return home


def num_events(folder: Path) -> int:
    """Return the number of events on a home's log; 0 for none, and where there is no log yet.

    Raises LogError for a log that cannot be read.
    """
    path = folder / "events.log"
    if not path.exists():
        return 0
    with SqliteLog(path) as log:
        return sum(sum(log.end_offsets(topic)) for topic in (EVENTS, PROFILES))


def _new_folder(parent: Path) -> Path:
    taken = [int(path.name) for path in parent.glob("*") if path.name.isdecimal()]
    folder = parent / str(max(taken, default=0) + 1)
    folder.mkdir(parents=True)
    return folder
