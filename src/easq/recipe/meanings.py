"""What each key of a table means: read from the docstrings of the types.

A docstring has a summary, and then a line for each key: its name, or several with commas, two spaces or more,
and the meaning, which goes on in lines further in. A meaning may end with its unit in brackets.
"""

import inspect
import re
from typing import NamedTuple

from msgspec import Struct

_ENTRY = re.compile(r"([a-z][a-z0-9_]*(?:, [a-z][a-z0-9_]*)*) {2,}(\S.*)")
_UNIT = re.compile(r" \[([a-z0-9 %]+)\]\.?$")
_ENDINGS = {
    "seconds": "seconds",
    "minutes": "minutes",
    "hours": "hours",
    "days": "days",
    "ms": "milliseconds",
    "bytes": "bytes",
}


class Meaning(NamedTuple):
    """What a key means, and its unit, which is empty where it has none."""

    text: str
    unit: str


class Documented(NamedTuple):
    """A type's summary, and the meaning of each of its keys that has one."""

    summary: str
    meanings: dict[str, Meaning]


def documented(kind: type[Struct]) -> Documented:
    """Return what the docstrings of a type and of those that it extends say of its keys."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, Struct) and base is not Struct:
            texts |= _entries(base)[1]
    summary = " ".join(_entries(kind)[0])
    return Documented(summary, {key: _with_unit(key, text) for key, text in texts.items()})


def _entries(kind: type[Struct]) -> tuple[list[str], dict[str, str]]:
    """Return the lines of prose and the text of each key in a docstring."""
    prose: list[str] = []
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(kind.__dict__.get("__doc__") or "").splitlines():
        found = _ENTRY.fullmatch(line)
        if found and set(keys := found[1].split(", ")) <= set(kind.__struct_fields__):
            names = keys
            texts |= dict.fromkeys(names, found[2])
        elif names and line.startswith("  "):
            texts |= {name: f"{texts[name]} {line.strip()}" for name in names}
        elif line.strip():
            names = []
            prose.append(line.strip())
    return prose, texts


def _with_unit(key: str, text: str) -> Meaning:
    found = _UNIT.search(text)
    if found:
        return Meaning(text[: found.start()].rstrip(".") + ".", found[1])
    return Meaning(text, _ENDINGS.get(key.rpartition("_")[2], ""))
