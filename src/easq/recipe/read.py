"""Read a recipe: TOML in, a checked `Recipe` out, or a message that says everything that is wrong with it."""

import tomllib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from easq.errors import SettingsError, format_value
from easq.recipe.check import problems as problems_of
from easq.recipe.check import without_effect
from easq.recipe.packaged import located, what_is_packaged
from easq.recipe.recipe import (
    DEFAULT_KIND,
    DEFAULT_KIND_UNTIL_0_2,
    MethodReader,
    Recipe,
    UnreadMethod,
    unread_method,
)
from easq.recipe.type_problems import explain
from easq.recipe.upgrade import is_old, key_of_today, old_form_message, upgrade_kept
from easq.recipe.values import TomlTable

_LONGEST_CHAIN = 20


class SettingsWarning(UserWarning):
    """A setting of a recipe has no effect; the message names it and what would read it."""


def read_recipe(
    path: Path,
    overrides: Sequence[str] = (),
    overlays: Sequence[Path] = (),
    methods: MethodReader = unread_method,
    kept: bool = False,
) -> Recipe:
    """Return the recipe in the TOML file at `path`, changed by overlays and then by overrides.

    Where there is no such file, `path` may be the name of a packaged recipe (recipe/packaged.py), and so may
    the recipes that it names. A file may build on another (`extends = "base.toml"`, beside it, or
    `extends = "world"`, packaged): its own keys replace those of the other, table by table; a list, such as
    `features`, is replaced whole. An overlay is a file with some keys of a recipe, laid over in the same way.
    An override is such as `model.dim=4`; its key leads through tables, and an entry of a list of tables is
    named by its `name` (`features.tag.rows=512`). A `[method]` of another kind replaces the whole table; an
    override of `method.kind` goes before all others. The recipes that arms name stand beside the file that
    names them, or are packaged. `methods` reads the table `[method]`.
    `kept` says that easq wrote the file itself, as in a home: then earlier forms are read too. Raises
    SettingsError with all problems; warns of settings without effect.
    """
    data = read_data(path, methods, kept=kept)
    for overlay in overlays:
        lay_over(data, read_data(overlay, methods, kind=_kind(data)))
    for change in sorted(overrides, key=lambda change: change.partition("=")[0].strip() != "method.kind"):
        override(data, change)
    recipe = decode_recipe(data, methods)
    # What compares methods on one recipe lays over what some of them do not read.
    for message in () if overlays else without_effect(recipe):
        warnings.warn(message, SettingsWarning, stacklevel=2)
    return recipe


def read_kept_recipe(path: Path, methods: MethodReader = unread_method) -> Recipe:
    """Return a recipe that easq itself wrote out, also in an earlier form; raises SettingsError."""
    data = read_toml(path)
    return decode_recipe(upgrade_kept(data, methods), methods)


def read_data(
    path: Path,
    methods: MethodReader,
    seen: tuple[Path, ...] = (),
    *,
    kept: bool = False,
    kind: str = DEFAULT_KIND_UNTIL_0_2,
) -> TomlTable:
    """Return the TOML data of a file with that of the files that it extends; raises SettingsError.

    `kind` is the method of what the file is laid over, if it is laid over something.
    """
    path = located(path)
    own = read_toml(path)
    if kept and (today := upgrade_kept(own, methods)) != own:
        return today
    data = _extended(path, own.pop("extends", None), methods, seen)
    if is_old(own):
        raise SettingsError(f"{path}: {old_form_message(own, methods, _kind(data) if data else kind)}")
    for arm in _arms_with_recipes(own):
        arm["recipe"] = str(located(Path(arm["recipe"]), path.parent).absolute())
    lay_over(data, own)
    return data


def _extended(path: Path, base: Any, methods: MethodReader, seen: tuple[Path, ...]) -> TomlTable:
    if base is None:
        return {}
    given = f"{path}: extends: got {format_value(base)}"
    if not isinstance(base, str):
        raise SettingsError(f"{given}; allowed: the path of one recipe")
    try:
        here, target = path.resolve(), located(Path(base), path.parent).resolve()
        is_file = target.is_file()
    except (OSError, ValueError) as error:  # too long, or with a null character
        raise SettingsError(
            f"{given}; allowed: the path of one recipe ({error.__class__.__name__})"
        ) from None
    if target in (*seen, here):
        raise SettingsError(f"{given}, which extends this recipe itself")
    if not is_file:
        raise SettingsError(f"{given}; there is no recipe at {target}; {what_is_packaged()}")
    if len(seen) >= _LONGEST_CHAIN:
        raise SettingsError(f"{given}; allowed: at most {_LONGEST_CHAIN} recipes that extend one another")
    return read_data(target, methods, (*seen, here))


def read_toml(path: Path) -> TomlTable:
    """Return the data in the TOML file at `path`; raise SettingsError where it cannot be read."""
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise SettingsError(f"there is no recipe at {path}; {what_is_packaged()}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the recipe {path} cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:  # also a number of too many digits, or too many brackets
        raise SettingsError(f"{path} is not TOML: {error}") from None


def lay_over(data: TomlTable, overlay: TomlTable) -> None:
    """Replace keys of plain TOML data by those of an overlay, table by table, in place."""
    for key, value in overlay.items():
        table = data.get(key)
        if not isinstance(value, dict) or not isinstance(table, dict):
            data[key] = value
        elif key == "method" and "kind" in value and value["kind"] != table.get("kind", DEFAULT_KIND):
            data[key] = dict(value)
        else:
            lay_over(table, value)


def decode_recipe(data: TomlTable, methods: MethodReader = unread_method) -> Recipe:
    """Return the recipe that plain TOML data describes; raise SettingsError with all that is wrong."""
    rest, table = {k: v for k, v in data.items() if k != "method"}, data.get("method", {})
    problems = [f"method: got {table!r}; allowed: a table"] if not isinstance(table, dict) else []
    problems += explain(rest, Recipe)
    method = methods(table if isinstance(table, dict) else {}, problems)
    if problems:
        raise SettingsError(_joined(problems))
    recipe = msgspec.structs.replace(msgspec.convert(rest, Recipe), method=method)
    if problems := list(problems_of(recipe)):
        raise SettingsError(_joined(problems))
    return recipe


def to_toml(recipe: Recipe) -> str:
    """Return the recipe with every default written out, as TOML that reads back as the same recipe."""
    return tomli_w.dumps(_without_none(to_data(recipe)))


def to_data(recipe: Recipe) -> TomlTable:
    """Return the recipe as plain data, which `decode_recipe` takes."""
    method = recipe.method
    data: TomlTable = msgspec.to_builtins(msgspec.structs.replace(recipe, method=UnreadMethod()))
    data["method"] = method.table if isinstance(method, UnreadMethod) else msgspec.to_builtins(method)
    return data


def override(data: TomlTable, change: str) -> None:
    """Change one key of plain TOML data; `change` is such as `model.dim=4`. Raises SettingsError."""
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"--set takes key=value such as model.dim=4, got {change!r}")
    if today := key_of_today(key.strip(), _kind(data)):
        raise SettingsError(f"--set {key}: this key of easq 0.1 is now {today}")
    value = _value(key, text)
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
    if [*path, last] == ["method", "kind"] and place.get("kind", DEFAULT_KIND) != value:
        place.clear()
    place[last] = value


def _value(key: str, text: str) -> Any:
    try:
        data = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"--set {key}: got {format_value(text)}: {error}") from None
    if data.keys() != {"value"}:
        raise SettingsError(f"--set {key}: got {format_value(text)}; allowed: one value")
    return data["value"]


def _kind(data: TomlTable) -> str:
    """Return the name of the method in plain TOML data, whatever else is there."""
    method = data.get("method")
    kind = method.get("kind") if isinstance(method, dict) else None
    return kind if isinstance(kind, str) else DEFAULT_KIND


def _joined(problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return "\n".join([f"the recipe has {len(problems)} problems:", *(f"  {p}" for p in problems)])


def _arms_with_recipes(data: TomlTable) -> Iterator[TomlTable]:
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


def _named(tables: list[Any], name: str, key: str) -> Any:
    for table in tables:
        if isinstance(table, dict) and table.get("name") == name:
            return table
    names = [str(table["name"]) for table in tables if isinstance(table, dict) and "name" in table]
    raise SettingsError(f"--set {key}: no entry is named {name!r}; allowed: {', '.join(names)}")
