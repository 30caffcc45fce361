"""Exceptions, and how their messages show values.

`InputError` marks problems that the user can fix; everything else is a bug or a failure of the machine.
"""

import reprlib
from collections.abc import Iterable
from itertools import islice
from typing import Any


class InputError(ValueError):
    """Input cannot be used. The message names the field, what was given and what is allowed."""


class InputWarning(UserWarning):
    """Input was used in part; the message says what was left out, and how much."""


class SettingsError(InputError):
    """A recipe cannot be used. The message names the key, what was given and what is allowed."""


_LONGEST = 60


class _Short(reprlib.Repr):
    """Formats only the first few entries of a value, at most three levels deep."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxlong, self.maxother = 3, _LONGEST, _LONGEST, _LONGEST

    # reprlib sorts all keys first, and writes bytes out in full.
    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if level <= 0 and x:
            return "{...}"
        first = islice(x.items(), self.maxdict)
        pairs = [f"{self.repr1(key, level - 1)}: {self.repr1(value, level - 1)}" for key, value in first]
        return f"{{{', '.join([*pairs, '...'] if len(x) > self.maxdict else pairs)}}}"

    def repr_bytes(self, x: bytes, level: int) -> str:  # noqa: ARG002 - the signature that reprlib calls
        return repr(x[:_LONGEST])


_SHORT = _Short()


def format_value(value: Any) -> str:
    """Return a value as text of at most 60 characters.

    >>> format_value([1, "a", None]), len(format_value(["x" * 1_000_000] * 1_000_000))
    ("[1, 'a', None]", 60)
    """
    return cut(_SHORT.repr(value))


def cut(text: str, longest: int = _LONGEST) -> str:
    """Return the text, cut to `longest` characters that end in three dots if it is longer."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def first_unknown(names: Iterable[str], known: Iterable[str]) -> str | None:
    """Return the first of the names that is not known, cut to 60 characters; None if all are known."""
    known_names = set(known)
    unknown = next((name for name in names if name not in known_names), None)
    return None if unknown is None else cut(unknown)
