"""Everything that is wrong with the data of a recipe: each problem names key, value given and values allowed.

Data and types are walked together, so one pass reports all problems and not only the first.
"""

import math
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Struct

from easq.errors import format_value
from easq.recipe.values import TomlTable


def explain(data: Any, kind: Any, place: str = "") -> Iterator[str]:
    """Yield a message for each part of plain TOML `data` that is not of type `kind`."""
    if isinstance(data, float) and not math.isfinite(data):
        yield f"{place}: got {data}; allowed: finite numbers"
        return
    bare = _bare(kind)
    if get_origin(bare) in (Union, types.UnionType) and isinstance(data, dict):
        structs = [k for k in get_args(bare) if isinstance(k, type) and issubclass(k, Struct)]
        if structs:
            bare = tagged(data, structs)
            if bare is None:
                yield _wrong_tag(data, structs, place)
                return
    if get_origin(bare) in (Union, types.UnionType) and isinstance(data, list):
        bare = next((k for k in get_args(bare) if get_origin(k) is tuple), bare)
    problems = list(_inner(data, bare, place))
    yield from problems
    if not problems:
        yield from _itself(data, bare if isinstance(bare, type) and issubclass(bare, Struct) else kind, place)


def tagged(data: TomlTable, structs: list[type[Struct]]) -> type[Struct] | None:
    """Return the struct that a table's tag names, None where it names none; one without a tag is meant."""
    tag_field = structs[0].__struct_config__.tag_field
    if tag_field is None:
        return structs[0]
    by_tag = {str(kind.__struct_config__.tag): kind for kind in structs}
    return by_tag.get(str(data.get(tag_field)))


def join_key(place: str, key: str) -> str:
    """Return the key below a place, such as `method.rank`."""
    return f"{place}.{key}".lstrip(".")


def _inner(data: Any, kind: Any, place: str) -> Iterator[str]:
    """Yield what is wrong inside a table or a list."""
    if get_origin(kind) is tuple and isinstance(data, list):
        item_kind = get_args(kind)[0]
        for index, item in enumerate(data):
            name = item.get("name", index) if isinstance(item, dict) else index
            yield from explain(item, item_kind, f"{place}.{name}")
    elif get_origin(kind) is dict and isinstance(data, dict):
        for key, item in data.items():
            yield from explain(item, get_args(kind)[1], join_key(place, key))
    elif isinstance(kind, type) and issubclass(kind, Struct) and isinstance(data, dict):
        yield from _fields(data, kind, place)


def _fields(data: TomlTable, kind: type[Struct], place: str) -> Iterator[str]:
    hints = get_type_hints(kind, include_extras=True)
    tag = kind.__struct_config__.tag_field
    allowed = sorted({*kind.__struct_fields__, *([tag] if tag else [])})
    for key, item in data.items():
        if key not in allowed:
            yield f"{join_key(place, key)}: unknown key; allowed: {', '.join(allowed)}"
        elif key in hints and key != tag:
            yield from explain(item, hints[key], join_key(place, key))
    for field in msgspec.structs.fields(kind):
        is_required = field.default is NODEFAULT and field.default_factory is NODEFAULT
        if is_required and field.name not in data:
            yield f"{join_key(place, field.name)}: required, but nothing was given"


def _itself(data: Any, kind: Any, place: str) -> Iterator[str]:
    """Yield what is wrong with a value whose parts are right, if anything."""
    try:
        msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        what = str(error).partition(" - at `$")[0]
        bare = _bare(kind)
        if get_origin(bare) is Literal:
            what = "allowed: " + ", ".join(map(str, get_args(bare)))
        elif words := [word for kind in get_args(bare) for word in _words(kind)]:
            what = f"allowed: a list, or {', '.join(words)}"
        yield f"{place or 'recipe'}: got {format_value(data)}; {what[:1].lower()}{what[1:]}"


def _wrong_tag(data: TomlTable, structs: list[type[Struct]], place: str) -> str:
    tag_field = str(structs[0].__struct_config__.tag_field)
    tag = data.get(tag_field)
    given = "nothing" if tag is None else format_value(tag)
    allowed = ", ".join(str(kind.__struct_config__.tag) for kind in structs)
    return f"{join_key(place, tag_field)}: got {given}; allowed: {allowed}"


def _words(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind
