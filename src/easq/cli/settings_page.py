"""The reference of all settings, as Markdown: made from the types of recipes, methods and mappings."""

import types
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Meta, Struct
from msgspec.structs import FieldInfo

from easq.model.method import AUTO, TrainableMethod, methods
from easq.recipe.meanings import documented
from easq.recipe.recipe import DEFAULT_KIND, Recipe
from easq.sources.datasets.mapping import Mapping

_HEAD = """# Settings

Every key of a recipe, of each method and of a mapping file, made from the types that read them.
`make settings` writes this page anew, and `easq recipe --settings` prints it. `easq recipe NAME` prints a
recipe with comments.

An unknown key, or a value that is not allowed, is refused by name. A table may be left out where all of
its keys have defaults. A name is made of lower-case letters, digits and _, and begins with a letter.
"""
_PATTERNS = {
    r"^[a-z][a-z0-9_]*$": "a name",
    r"^[A-Za-z0-9._-]{1,32}$": "1 to 32 letters, digits, dots, _ and -",
    r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$": "a language tag, such as en or zh-Hans",
    r"^(\*|[a-z][a-z0-9+.-]*://(\*\.)?[^/\s,*]+)$": "*, or a scheme and a host",
}
_TYPES = {int: "integer", float: "number", str: "text", bool: "true or false", date: "date"}
_LONG = 10_000
_RANGES = (("ge", "from"), ("gt", "above"), ("le", "to"), ("lt", "below"))


class Section(NamedTuple):
    """One table of settings: how its heading is written, and its type."""

    heading: str
    kind: type[Struct]


def page() -> str:
    """Return the whole page. Raises ValueError, naming the key, for a setting without a meaning."""
    parts = [_HEAD, *map(_section, sections())]
    return "\n".join(parts).rstrip() + "\n"


def sections() -> Iterator[Section]:
    """Yield all tables: of a recipe, of its methods, of a mapping."""
    yield Section("A recipe: keys at the top", Recipe)
    for field in msgspec.structs.fields(Recipe):
        if field.name == "method":
            yield from (
                Section(f'[method] kind = "{kind}"', settings) for kind, settings in methods().items()
            )
        else:
            yield from _below(_hints(Recipe)[field.name], field.name)
    yield Section("A mapping: keys at the top", Mapping)
    for field in msgspec.structs.fields(Mapping):
        if field.name != "quality":  # that of a recipe
            for heading, kind in _below(_hints(Mapping)[field.name], field.name):
                yield Section(f"{heading} of a mapping", kind)


def undocumented(kind: type[Struct]) -> list[str]:
    """Return the keys of a type that have no meaning in its docstring."""
    known = documented(kind).meanings
    return [field.name for field in msgspec.structs.fields(kind) if field.name not in known]


def _below(kind: Any, path: str, *, is_list: bool = False) -> Iterator[Section]:
    """Yield the tables of a value of this type, and those inside them."""
    bare = _bare(kind)
    origin, inner = get_origin(bare), get_args(bare)
    if origin is tuple:
        yield from _below(inner[0], path, is_list=True)
    elif origin is dict:
        yield from _below(inner[1], f"{path}.NAME", is_list=is_list)
    elif origin in (Union, types.UnionType):
        for part in inner:
            yield from _below(part, path, is_list=is_list)
    elif isinstance(bare, type) and issubclass(bare, Struct):
        tag, heading = bare.__struct_config__.tag, f"[[{path}]]" if is_list else f"[{path}]"
        yield Section(f'{heading} kind = "{tag}"' if tag else heading, bare)
        for field in msgspec.structs.fields(bare):
            yield from _below(_hints(bare)[field.name], f"{path}.{field.name}")


def _section(section: Section) -> str:
    kind = section.kind
    if missing := undocumented(kind):
        raise ValueError(f"{kind.__name__} has no meaning in its docstring for {', '.join(missing)}")
    known, hints = documented(kind), _hints(kind)
    lines = [f"## {section.heading}", "", _plain(_lead(section, known.summary)), ""]
    if fields := msgspec.structs.fields(kind):
        lines += ["| key | type | allowed | default | unit | meaning |", "|---|---|---|---|---|---|"]
    for field in fields:
        meaning = known.meanings[field.name]
        type_text, allowed = _described(hints[field.name])
        unit = meaning.unit or ("share" if allowed == "from 0 to 1" else "")
        cells = [f"`{field.name}`", type_text, allowed, _default(field), unit, meaning.text]
        lines.append("| " + " | ".join(map(_plain, cells)) + " |")
    return "\n".join([*lines, ""])


def _lead(section: Section, summary: str) -> str:
    """Return what a table is: of a method its name in reports first, since the heading has its kind."""
    if not issubclass(section.kind, TrainableMethod):
        return summary
    rest = summary.partition('"')[2].partition('"')[2].lstrip(".:;, ")
    if section.kind.__struct_config__.tag == DEFAULT_KIND:
        rest = f'The default, and what kind = "{AUTO}" stands for. {rest}'
    return f"{section.kind.label}. {rest[:1].upper()}{rest[1:]}".strip()


def _described(kind: Any) -> tuple[str, str]:
    """Return the name of a type and the values that it allows."""
    bare, metas = _bare(kind), [meta for meta in get_args(kind)[1:] if isinstance(meta, Meta)]
    origin, inner = get_origin(bare), get_args(bare)
    if origin is Literal:
        return "text", ", ".join(f'`"{value}"`' for value in inner)
    if origin in (Union, types.UnionType):
        return _union([part for part in inner if part is not type(None)])
    if origin is tuple:
        name, allowed = _described(inner[0])
        return f"list of {_plural(name)}", "; ".join(filter(None, [_bounds(metas, "entries"), allowed]))
    if origin is dict:
        key = _described(inner[0])[1].removeprefix("a ") or "value"
        return "table", f"a {_described(inner[1])[0]} for each {key}"
    if isinstance(bare, type) and issubclass(bare, Struct):
        return "table", ""
    return _TYPES.get(bare, str(bare)), _bounds(metas, "characters")


def _union(parts: list[Any]) -> tuple[str, str]:
    tags = [
        part.__struct_config__.tag for part in parts if isinstance(part, type) and issubclass(part, Struct)
    ]
    if tags:
        kinds = [f'`"{tag}"`' for tag in tags if tag]
        return "table", f"kind: {', '.join(kinds)}" if kinds else ""
    described = [_described(part) for part in parts]
    return " or ".join(name for name, _ in described), "; ".join(
        filter(None, (text for _, text in described))
    )


def _bounds(metas: list[Meta], counted: str) -> str:
    """Return the range, the length or the pattern that a type allows, empty if anything."""
    parts = []
    for meta in metas:
        parts += [
            f"{word} {_number(value)}" for name, word in _RANGES if (value := getattr(meta, name)) is not None
        ]
        if meta.min_length is not None and meta.max_length is not None:
            parts.append(f"{meta.min_length} to {meta.max_length:,} {counted}")
        elif meta.min_length is not None:
            parts.append(f"{meta.min_length} or more {counted}")
        if meta.pattern is not None:
            parts.append(_PATTERNS.get(meta.pattern, f"as `{meta.pattern}`"))
    return " ".join(parts)


def _default(field: FieldInfo) -> str:
    if field.default is NODEFAULT and field.default_factory is NODEFAULT:
        return "**required**"
    value = field.default if field.default is not NODEFAULT else field.default_factory()
    if value is None:
        return "none"
    if isinstance(value, Struct):
        tag = value.__struct_config__.tag
        return f'kind = "{tag}"' if tag else "its defaults"
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\") + '"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, int | float) and abs(value) >= _LONG:
        return f"{value:_}"
    return repr(value)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}".replace("e+0", "e")


def _plural(name: str) -> str:
    return {"text": "texts", "table": "tables", "number": "numbers", "integer": "integers"}.get(name, name)


def _plain(text: str) -> str:
    return text.replace("|", "\\|")


def _hints(kind: type[Struct]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind
