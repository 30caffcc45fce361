"""Ids of events, of versions and of category texts."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from easq.arrays import I64

LONGEST_ID = 128
"""Characters of a name that the service takes."""
_WHOLE = re.compile(r"(0|-?[1-9][0-9]{0,18})(?:\.0+)?")


def version_name(seq: int) -> str:
    """Return the name of the learner's version `seq`. Names sort as their numbers do."""
    return f"v{seq:012d}"


def time_ordered_id(now_ms: int) -> str:
    """Return a new id that sorts by time, like UUID version 7, so that a log's index grows at its end."""
    return f"{now_ms:012x}{secrets.token_hex(10)}"


def stable_id(text: str) -> int:
    """Return the 64-bit id of a string. It is the same in every process and on every machine.

    >>> stable_id("full_active") == stable_id("full_active") != stable_id("low_active")
    True
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def plain_name(text: str) -> str:
    """Return a name without the point that a column of floats gives to a whole number.

    >>> plain_name("1003.0"), plain_name("1.5"), plain_name("007.0")
    ('1003', '1.5', '007.0')
    """
    found = _WHOLE.fullmatch(text)
    return found[1] if found else text


def category_id(text: str) -> int:
    """Return the id of a category's text: a whole number of 64 bits stands for itself.

    So a name of digits has one id, whether it comes as a text or as a number, live or from a file.

    >>> category_id("1003") == category_id("1003.0") == 1003
    True
    >>> category_id("007") == stable_id("007")
    True
    """
    found = _WHOLE.fullmatch(text)
    if found and -(1 << 63) <= (number := int(found[1])) < 1 << 63:
        return number
    return stable_id(text)


def category_ids(values: Iterable[Any]) -> list[int]:
    """Return an id per category: integers stand for themselves, anything else for its text."""
    return [v if type(v) is int else category_id(str(v)) for v in values]


def stable_ids(values: Iterable[Any]) -> list[int]:
    """Return an id per value: integers stand for themselves, anything else for its text's hash.

    Draws use it. The values of features have `category_ids`.
    """
    return [v if type(v) is int else stable_id(str(v)) for v in values]


def mix(ids: I64, salt: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    """Spread ids over 64 bits (SplitMix64; Steele et al. 2014), in a different way for each salt."""
    x = ids.view(np.uint64) + salt
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
