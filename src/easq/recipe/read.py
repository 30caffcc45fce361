"""Read a recipe: TOML in, a checked `Recipe` out, or a message that says which key is wrong and why."""

import math
import re
import tomllib
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import tomli_w
from msgspec import Struct

from easq.errors import InputError
from easq.recipe.check_experiments import problems
from easq.recipe.recipe import BUILT_IN, SCALE5, AskedQuestion, Categorical, History, Recipe


class SettingsError(InputError):
    """A recipe cannot be used; the message names the key, what was given and what is allowed."""


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


def _refuse_unknown_keys(value: Any, kind: Any, place: str) -> None:
    """Walk data and types together, so that the message can list the keys that are allowed."""
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"{place}: got {value}; allowed: finite numbers")
    kind = _plain(kind)
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        kind = _chosen(value, args, place)
        if kind is None:
            return
        origin, args = get_origin(kind), get_args(kind)
    if origin is tuple and isinstance(value, list):
        for index, item in enumerate(value):
            name = item.get("name", index) if isinstance(item, dict) else index
            _refuse_unknown_keys(item, args[0], f"{place}.{name}")
    elif isinstance(kind, type) and issubclass(kind, Struct) and isinstance(value, dict):
        hints = get_type_hints(kind, include_extras=True)
        tag = kind.__struct_config__.tag_field
        allowed = sorted({*kind.__struct_fields__, *([tag] if tag else [])})
        for key, item in value.items():
            if key not in allowed:
                raise SettingsError(f"{_join(place, key)}: unknown key; allowed: {', '.join(allowed)}")
            if key in hints:
                _refuse_unknown_keys(item, hints[key], _join(place, key))


def _chosen(value: Any, kinds: tuple[Any, ...], place: str) -> Any:
    """Return the struct that a tagged table means, or that an optional one is."""
    structs = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Struct)]
    if not isinstance(value, dict) or not structs:
        return None
    tag_field = structs[0].__struct_config__.tag_field
    if tag_field is None:
        return structs[0]
    by_tag = {str(kind.__struct_config__.tag): kind for kind in structs}
    tag = value.get(tag_field)
    if tag not in by_tag:
        given = "nothing" if tag is None else repr(tag)
        raise SettingsError(f"{_join(place, tag_field)}: got {given}; allowed: {', '.join(by_tag)}")
    return by_tag[tag]


def _plain(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _join(place: str, key: str) -> str:
    return f"{place}.{key}".lstrip(".")


def _explain(message: str, data: Any) -> str:
    """Turn a validation error into key, value given and values allowed."""
    what, _, place = message.partition(" - at `$")
    steps = re.findall(r"\[(\d+|\.\.\.)\]|\.?([A-Za-z_][A-Za-z_0-9]*)", place.rstrip("`"))
    given, key, kind = data, "", Recipe
    for index, field in steps:
        if field:
            key = _join(key, field)
            kind = _field_type(kind, field, given)
            given = given.get(field) if isinstance(given, dict) else None
        elif isinstance(given, list) and index.isdigit() and int(index) < len(given):
            given = given[int(index)]
            name = given.get("name", index) if isinstance(given, dict) else index
            key, kind = f"{key}.{name}", _item_type(kind)
    missing = re.fullmatch(r"Object missing required field `(\w+)`", what)
    if missing:
        return f"{_join(key, missing.group(1))}: required, but nothing was given"
    if get_origin(kind) is Literal:
        what = "allowed: " + ", ".join(map(str, get_args(kind)))
    return f"{key or 'recipe'}: got {given!r}; {what[:1].lower()}{what[1:]}"


def _field_type(kind: Any, field: str, given: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        kind = _chosen(given, get_args(kind), "")
    return _plain(get_type_hints(kind, include_extras=True).get(field)) if isinstance(kind, type) else None


def _item_type(kind: Any) -> Any:
    return _plain(get_args(kind)[0]) if get_origin(kind) is tuple else None


def _check(recipe: Recipe) -> None:
    """Hold what one key's type cannot say: names are unique, references lead somewhere, sizes fit."""
    for place, names in (
        ("features", [f.name for f in recipe.features]),
        ("behaviors", [b.name for b in recipe.behaviors]),
        ("question.options", list(recipe.question.options)),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SettingsError(f"{place}: {', '.join(twice)} stands there more than once; names are unique")
    targets = [f.name for f in recipe.features if isinstance(f, Categorical) and f.side == "candidate"]
    if not any(getattr(f, "side", "viewer") == "candidate" for f in recipe.features):
        raise SettingsError("features: at least one must have side = 'candidate', or nothing can be ranked")
    for feature in recipe.features:
        if isinstance(feature, History) and feature.of not in targets:
            raise SettingsError(
                f"features.{feature.name}.of: got {feature.of!r}; allowed are the categorical features of "
                f"the candidate: {', '.join(targets) or 'none is declared'}"
            )
        rate = getattr(feature, "rate", None)
        behavior = rate.behavior if rate else getattr(feature, "where", None)
        if behavior is not None and behavior not in [b.name for b in recipe.behaviors]:
            key = "rate.behavior" if rate else "where"
            allowed = ", ".join(b.name for b in recipe.behaviors)
            raise SettingsError(
                f"features.{feature.name}.{key}: got {behavior!r}; allowed are the behaviors: {allowed}"
            )
        boundaries = getattr(feature, "boundaries", (0.0,))
        if list(boundaries) != sorted(set(boundaries)):
            raise SettingsError(f"features.{feature.name}.boundaries: got {boundaries}; they must rise")
    if all(b.weight == 0 for b in recipe.behaviors):
        raise SettingsError("behaviors: at least one needs a weight other than 0, or no order can be learned")
    model, join = recipe.model, recipe.join
    width = model.dim * len(recipe.features)
    if model.rank >= min(width, model.hidden):
        raise SettingsError(
            f"model.rank: got {model.rank}; allowed: 0 to {min(width, model.hidden) - 1}, below both "
            f"model.hidden ({model.hidden}) and the width of all features ({width})"
        )
    _check_baselines(recipe)
    if join.answer_window < join.behavior_window:
        raise SettingsError(
            f"join.answer_window: got {join.answer_window}; allowed: at least join.behavior_window "
            f"({join.behavior_window}), because an answer is one of the things that a view may get"
        )
    _check_ask(recipe)
    for problem in problems(recipe):
        raise SettingsError(problem)


def _check_baselines(recipe: Recipe) -> None:
    model = recipe.model
    if model.method == "saqrec" and not any(isinstance(f, History) for f in recipe.features):
        raise SettingsError(
            "model.method: got 'saqrec'; it reads the viewer's past, so features needs one of kind 'history'"
        )
    watch, names = recipe.baselines.emer_watch, [b.name for b in recipe.behaviors]
    if watch is not None and watch not in names:
        raise SettingsError(
            f"baselines.emer_watch: got {watch!r}; allowed are the behaviors: {', '.join(names)}"
        )
    if model.method.startswith("emer") and model.hidden % recipe.baselines.emer_heads:
        raise SettingsError(
            f"baselines.emer_heads: got {recipe.baselines.emer_heads}; allowed: numbers that divide "
            f"model.hidden ({model.hidden})"
        )


def _check_ask(recipe: Recipe) -> None:
    """Hold the times of the questionnaire against each other, and its questions to their wordings."""
    ask = recipe.ask
    half_life_hours = ask.adaptive_half_life_hours if ask.policy == "adaptive" else 0.0
    for key, given, largest, why in (
        ("cool_down_minutes", ask.cool_down_minutes, ask.memory_days * 1440, "ask.memory_days"),
        ("session_gap_minutes", ask.session_gap_minutes, ask.memory_days * 1440, "ask.memory_days"),
        ("reserve_seconds", ask.reserve_seconds, ask.token_minutes * 60, "ask.token_minutes"),
        # After seven of them a hundredth is left: what a restart does not read again hardly counts.
        ("adaptive_half_life_hours", half_life_hours, ask.memory_days * 24 / 7, "ask.memory_days"),
    ):
        if given > largest:
            raise SettingsError(f"ask.{key}: got {given}; allowed: at most {largest:g}, see {why}")
    names = [question.name for question in ask.questions]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(
            f"ask.questions: {', '.join(twice)} stands there more than once; names are unique"
        )
    for question in ask.questions:
        _check_question(question, recipe)


def _check_question(question: AskedQuestion, recipe: Recipe) -> None:
    place, locale = f"ask.questions.{question.name}", recipe.ask.default_locale
    trains = question.name == recipe.question.name
    built_in = None if trains else BUILT_IN.get(question.name)
    if question.options and (trains or built_in or question.kind == "scale5"):
        whose = "[question]" if trains else "a scale" if question.kind == "scale5" else "a built-in question"
        raise SettingsError(f"{place}.options: got {question.options}; those of {whose} are given already")
    values = recipe.question.options if trains else built_in or question.options
    is_scale = question.kind == "scale5"
    if is_scale and not built_in and not trains:
        values = SCALE5
    if is_scale != (values == SCALE5):
        allowed = "scale5" if values == SCALE5 else "options"
        raise SettingsError(f"{place}.kind: got {question.kind!r}; allowed with its options: {allowed}")
    if len(set(values)) != len(values) or len(values) < 2:
        raise SettingsError(f"{place}.options: got {values}; allowed: two or more, each once")
    for name, wording in question.wording.items():
        if len(wording.labels) != len(values):
            raise SettingsError(
                f"{place}.wording.{name}.labels: got {len(wording.labels)}; allowed: {len(values)}, one for "
                f"each of {', '.join(values)}"
            )
    if not trains and not built_in and locale not in question.wording:
        raise SettingsError(
            f"{place}.wording: got {', '.join(question.wording) or 'none'}; it needs ask.default_locale "
            f"({locale}), because {question.name} is not built in"
        )
