"""From what a platform tells of a viewer or an item to the packed columns of the log."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Raw

from easq.errors import InputError, cut, shown
from easq.features.columns import LONGEST
from easq.log.ids import stable_ids
from easq.log.packing import Column, pack_floats, pack_ids
from easq.recipe.features import Categorical, Feature, History, Multi, Numeric, platform_features
from easq.recipe.values import Side
from easq.service.feature_values import read_value
from easq.service.http.messages import Format

LARGEST = float(np.finfo(np.float32).max)
"""What a float32 can hold."""


class ValueReader:
    """Checks and packs the features of one side."""

    def __init__(self, features: Sequence[Feature], side: Side) -> None:
        self._side = side
        self._told = platform_features(features, side)
        self._others = {f.name: _why_not(f) for f in features if f.name not in self._told}

    def pack(self, values: Mapping[str, Raw], form: Format) -> dict[str, Column]:
        """Return a packed column per feature told, unknown numbers left out, lists cut to their length.

        Raises InputError, naming the feature, what was given and what is allowed.
        """
        columns = {}
        for name, value in values.items():
            feature = self._told.get(name)
            if feature is None:
                why = self._others.get(name, "it is unknown")
                allowed = ", ".join(self._told) or "none"
                raise InputError(f"features.{cut(name)}: {why}; allowed of the {self._side}: {allowed}")
            column = _pack(feature, read_value(value, form, f"features.{name}"))
            if column is not None:
                columns[name] = column
        return columns


def _why_not(feature: Feature) -> str:
    if isinstance(feature, History) or (isinstance(feature, Numeric) and feature.rate):
        return "the service keeps it from events"
    return f"it is a feature of the {feature.side}"


def _pack(feature: Feature, value: Any) -> Column | None:
    if isinstance(feature, Numeric):
        return _pack_number(feature.name, value)
    if isinstance(feature, Categorical) and _is_category(value):
        return pack_ids(stable_ids([value]))
    if isinstance(feature, Multi) and isinstance(value, list):
        if len(value) > LONGEST:
            raise InputError(f"features.{feature.name}: got {len(value)} values; allowed: {LONGEST}")
        # What nothing would read is neither hashed nor logged.
        value = value[: feature.length]
        if all(map(_is_category, value)):
            return pack_ids(stable_ids(value))
    one = "a text or an integer of 64 bits"
    allowed = one if isinstance(feature, Categorical) else f"a list, each {one}"
    raise InputError(f"features.{feature.name}: got {shown(value)}; allowed: {allowed}")


def _pack_number(name: str, value: Any) -> Column | None:
    if value is None:
        return None
    # NaN and what a float32 cannot hold fail the comparison.
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST:
        return pack_floats([value])
    raise InputError(f"features.{name}: got {shown(value)}; allowed: a finite number of 32 bits, or null")


def _is_category(value: object) -> bool:
    return isinstance(value, str) or (type(value) is int and -(1 << 63) <= value < 1 << 63)
