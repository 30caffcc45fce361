"""Folders for the models of arms, inside the home of the system that serves them.

An arm with a recipe has its own learner, and so its own steps, versions and checkpoints. An arm with a
version has that one version and no learner. Events, profiles and keys belong to the system.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from easq.errors import InputError, SettingsError
from easq.home.home import Home, open_home
from easq.recipe.arm_recipe import read_arm
from easq.recipe.experiments import Arm
from easq.recipe.read import read_kept_recipe

_FOLDER = "arms"


def arms_with_models(home: Home) -> Iterator[tuple[str, Arm]]:
    """Yield each arm that has its own model, with its name as in a label: `experiment/arm`."""
    for experiment in home.recipe.experiments:
        for arm in experiment.arms:
            if arm.recipe or arm.version:
                yield f"{experiment.name}/{arm.name}", arm


def open_arms(home: Home) -> dict[str, Home]:
    """Return the home of every arm that has its own model; homes that do not exist yet are made.

    A changed recipe may change what `open_home` allows. If its file is gone, the stored settings are used.
    Raises InputError for a version that the system does not keep.
    """
    homes = {}
    for name, arm in arms_with_models(home):
        folder = _folder(home, name)
        if arm.recipe:
            path, settings = Path(arm.recipe), folder / "settings.toml"
            recipe = (
                read_arm(path, home.recipe)
                if path.exists() or not settings.exists()
                else read_kept_recipe(settings, home.recipe.method.reader)
            )
            homes[name] = replace(open_home(folder, recipe), main=home.folder)
        else:
            assert arm.version
            recipe = structs.replace(home.recipe, experiments=())
            homes[name] = replace(open_home(folder, recipe), main=home.folder)
            _fix(home, homes[name], name, arm.version)
    return homes


def learned_arms(home: Home) -> list[Home]:
    """Return the home of every arm whose learner has a checkpoint, including arms of past experiments."""
    arms = [
        replace(open_home(path.parent, methods=home.recipe.method.reader), main=home.folder)
        for path in sorted((home.folder / _FOLDER).glob("*/settings.toml"))
    ]
    return [arm for arm in arms if arm.checkpoints.names()]


def arm_home(home: Home, name: str) -> Home:
    """Return the home of one arm, which must exist. Raises InputError, naming the arms that do."""
    names = [known for known, _ in arms_with_models(home)]
    if name in names and not (_folder(home, name) / "settings.toml").exists():
        raise InputError(f"{_folder(home, name)} holds no model of {name}: start the system, which makes it")
    if name not in names:
        raise InputError(f"--arm: got {name!r}; allowed: {', '.join(names) or 'none has a model of its own'}")
    folder = _folder(home, name)
    return replace(open_home(folder, methods=home.recipe.method.reader), main=home.folder)


def serving_home(home: Home, experiment: str, arm: Arm) -> Home:
    """Return the home of the model that serves an arm: its own, or the system's."""
    return arm_home(home, f"{experiment}/{arm.name}") if arm.recipe or arm.version else home


def _folder(home: Home, name: str) -> Path:
    return home.folder / _FOLDER / name.replace("/", ".")


def _fix(home: Home, arm: Home, name: str, version: str) -> None:
    """Copy the version that an arm is fixed at, so that it outlives the system's own copy."""
    fixed = arm.versions.names()
    if fixed == [version]:
        return
    place = "experiments.{}.arms.{}.version".format(*name.split("/"))
    if fixed:
        raise SettingsError(
            f"{place}: got {version}, and the arm is fixed at {fixed[0]}; allowed: that one, or another arm"
        )
    if version not in home.versions.names():
        stored = ", ".join(home.versions.names()) or "none"
        raise SettingsError(f"{place}: got {version!r}; kept are {stored} (`easq status`)")
    state, notes = home.versions.load(version), home.versions.notes(version)
    arm.versions.save(int(notes["seq"]), state, notes)
