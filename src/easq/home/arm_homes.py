"""Folders for the models of arms, inside the home of the system that serves them.

An arm with a recipe has a learner of its own, and so steps, versions and checkpoints of its own; an arm
with a version has that one version and nobody who changes it. Events, profiles and keys are the system's.
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
    """Yield each arm that has a model of its own, by the part of a label that names it."""
    for experiment in home.recipe.experiments:
        for arm in experiment.arms:
            if arm.recipe or arm.version:
                yield f"{experiment.name}/{arm.name}", arm


def open_arms(home: Home) -> dict[str, Home]:
    """Return the home of every arm that has a model of its own, made where it is not there yet.

    A recipe that changed since may change what `open_home` allows, and a file that is gone is not missed.
    Raises InputError for a version that the system does not keep.
    """
    found, reader = {}, home.recipe.method.reader
    for name, arm in arms_with_models(home):
        folder = _folder(home, name)
        if arm.recipe:
            path, kept = Path(arm.recipe), folder / "settings.toml"
            recipe = (
                read_arm(path, home.recipe)
                if path.exists() or not kept.exists()
                else read_kept_recipe(kept, reader)
            )
            found[name] = replace(open_home(folder, recipe), main=home.folder)
        else:
            assert arm.version
            recipe = structs.replace(home.recipe, experiments=())
            found[name] = replace(open_home(folder, recipe), main=home.folder)
            _fix(home, found[name], name, arm.version)
    return found


def learned_arms(home: Home) -> list[Home]:
    """Return the home of every arm whose learner holds something, those of past experiments too."""
    found = [
        replace(open_home(path.parent, methods=home.recipe.method.reader), main=home.folder)
        for path in sorted((home.folder / _FOLDER).glob("*/settings.toml"))
    ]
    return [arm for arm in found if arm.checkpoints.names()]


def arm_home(home: Home, name: str) -> Home:
    """Return the home of one arm that was made before; raises InputError, naming those that there are."""
    names = [known for known, _ in arms_with_models(home)]
    if name in names and not (_folder(home, name) / "settings.toml").exists():
        raise InputError(f"{_folder(home, name)} holds no model of {name}: start the system, which makes it")
    if name not in names:
        raise InputError(f"--arm: got {name!r}; allowed: {', '.join(names) or 'none has a model of its own'}")
    folder = _folder(home, name)
    return replace(open_home(folder, methods=home.recipe.method.reader), main=home.folder)


def serving_home(home: Home, experiment: str, arm: Arm) -> Home:
    """Return the home of the model that serves an arm: one of its own, or the running one."""
    return arm_home(home, f"{experiment}/{arm.name}") if arm.recipe or arm.version else home


def _folder(home: Home, name: str) -> Path:
    return home.folder / _FOLDER / name.replace("/", ".")


def _fix(home: Home, arm: Home, name: str, version: str) -> None:
    """Copy the version that an arm is fixed at, so that it stays when the system keeps it no longer."""
    held = arm.versions.names()
    if held == [version]:
        return
    place = "experiments.{}.arms.{}.version".format(*name.split("/"))
    if held:
        raise SettingsError(
            f"{place}: got {version}, and the arm is fixed at {held[0]}; allowed: that one, or another arm"
        )
    if version not in home.versions.names():
        kept = ", ".join(home.versions.names()) or "none"
        raise SettingsError(f"{place}: got {version!r}; kept are {kept} (`easq status`)")
    state, notes = home.versions.load(version), home.versions.notes(version)
    arm.versions.save(int(notes["seq"]), state, notes)
