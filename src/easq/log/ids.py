"""Ids of events, of versions and of category texts."""

import hashlib
import secrets
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from easq.arrays import I64


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


def stable_ids(values: Iterable[Any]) -> list[int]:
    """Return an id per value: integers stand for themselves, anything else for its text."""
    return [v if type(v) is int else stable_id(str(v)) for v in values]


def mix(ids: I64, salt: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    """Spread ids over 64 bits (SplitMix64; Steele et al. 2014), in a different way for each salt."""
    x = ids.view(np.uint64) + salt
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
