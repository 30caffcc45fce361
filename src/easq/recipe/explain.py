"""Messages about a recipe: the key, what was given, and what is allowed."""

import math
import re
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

from easq.errors import SettingsError
from easq.recipe.recipe import Recipe


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
