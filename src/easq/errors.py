"""The one distinction that callers need: what the user can mend, and everything else."""

import reprlib
from collections.abc import Iterable
from itertools import islice
from typing import Any


class InputError(ValueError):
    """What was given cannot be used; the message names it, what was found and what is allowed."""


_LONGEST = 60


class _Short(reprlib.Repr):
    """Looks at the first few entries of anything, and at no more than three levels of it."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxlong, self.maxother = 3, _LONGEST, _LONGEST, _LONGEST

    # The original sorts all keys first, and writes bytes out whole.
    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if level <= 0 and x:
            return "{...}"
        some = islice(x.items(), self.maxdict)
        pairs = [f"{self.repr1(key, level - 1)}: {self.repr1(value, level - 1)}" for key, value in some]
        return f"{{{', '.join([*pairs, '...'] if len(x) > self.maxdict else pairs)}}}"

    def repr_bytes(self, x: bytes, level: int) -> str:  # noqa: ARG002 - as the others are called
        return repr(x[:_LONGEST])


_SHORT = _Short()


def shown(value: Any) -> str:
    """Return a value in at most 60 characters.

    >>> shown([1, "a", None]), len(shown(["x" * 1_000_000] * 1_000_000))
    ("[1, 'a', None]", 60)
    """
    return cut(_SHORT.repr(value))


def cut(text: str, longest: int = _LONGEST) -> str:
    """Return the text, or its beginning and three dots: at most `longest` characters."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def first_unknown(given: Iterable[str], known: Iterable[str]) -> str | None:
    """Return the first name given that is not known, cut; None when all are."""
    names = set(known)
    unknown = next((name for name in given if name not in names), None)
    return None if unknown is None else cut(unknown)


class SettingsError(InputError):
    """A recipe cannot be used; the message names the key, what was given and what is allowed."""
