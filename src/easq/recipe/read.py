"""Read a recipe: TOML in, a checked `Recipe` out, or a message that says which key is wrong and why."""

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from easq.errors import SettingsError
from easq.recipe.check import _check
from easq.recipe.explain import _explain, _refuse_unknown_keys
from easq.recipe.recipe import Recipe


def read_recipe(path: Path, overrides: Sequence[str] = (), overlays: Sequence[Path] = ()) -> Recipe:
    """Return the recipe in the TOML file at `path`, changed by overlays and then by overrides.

    An overlay is a file that holds some keys of a recipe, which stand in the place of the recipe's own. An
    override is such as `model.rank=4`; its key leads through tables, and an entry of a list of tables is
    named by its `name` (`features.tag.rows=512`). The recipes that arms name stand beside it. Raises
    SettingsError.
    """
    data = read_toml(path)
    for arm in _arms_with_recipes(data):
        arm["recipe"] = str((path.parent / arm["recipe"]).absolute())
    for overlay in overlays:
        lay_over(data, read_toml(overlay))
    for change in overrides:
        override(data, change)
    return decode_recipe(data)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the data in the TOML file at `path`; raise SettingsError where it cannot be read."""
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise SettingsError(f"there is no recipe at {path}; name one with --recipe") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the recipe {path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None


def lay_over(data: dict[str, Any], overlay: dict[str, Any]) -> None:
    """Put the keys of an overlay in the place of plain TOML data's own, table by table."""
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(data.get(key), dict):
            lay_over(data[key], value)
        else:
            data[key] = value


def decode_recipe(data: dict[str, Any]) -> Recipe:
    """Return the recipe that plain TOML data describes; raise SettingsError where it cannot be one."""
    _refuse_unknown_keys(data, Recipe, "")
    try:
        recipe = msgspec.convert(data, Recipe)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error), data)) from None
    _check(recipe)
    return recipe


def to_toml(recipe: Recipe) -> str:
    """Return the recipe with every default written out, as TOML that reads back as the same recipe."""
    return tomli_w.dumps(_without_none(msgspec.to_builtins(recipe)))


def _arms_with_recipes(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    experiments = data.get("experiments")
    for experiment in experiments if isinstance(experiments, list) else ():
        arms = experiment.get("arms") if isinstance(experiment, dict) else None
        for arm in arms if isinstance(arms, list) else ():
            if isinstance(arm, dict) and isinstance(arm.get("recipe"), str):
                yield arm


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value


def override(data: dict[str, Any], change: str) -> None:
    """Change one key of plain TOML data; `change` is such as `model.rank=4`. Raises SettingsError."""
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"--set takes key=value such as model.rank=4, got {change!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *path, last = key.strip().split(".")
    place: Any = data
    for part in path:
        if isinstance(place, dict):
            place = place.setdefault(part, {})
        elif isinstance(place, list):
            place = _named(place, part, key)
        else:
            raise SettingsError(f"--set {key}: {part!r} stands below a value, not below a table")
    if not isinstance(place, dict):
        raise SettingsError(f"--set {key}: {last!r} does not name a key of a table")
    place[last] = value


def _named(tables: list[Any], name: str, key: str) -> Any:
    for table in tables:
        if isinstance(table, dict) and table.get("name") == name:
            return table
    names = [table["name"] for table in tables if isinstance(table, dict) and "name" in table]
    raise SettingsError(f"--set {key}: no entry is named {name!r}; allowed: {', '.join(names)}")
