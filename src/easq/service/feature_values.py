"""Feature values of a call, decoded one by one and no deeper than a feature can be.

A body may hold millions of nested lists. They stay bytes until it is known which feature they belong to, and
are refused at the first one that its feature cannot have.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Raw

from easq.errors import InputError, cut, format_value
from easq.features.columns import LONGEST
from easq.features.vector_values import parse_vectors
from easq.log.ids import category_ids
from easq.log.packing import LARGEST_FLOAT, Column, pack_floats, pack_ids
from easq.rank.query import check_num_rows
from easq.recipe.features import (
    Categorical,
    Feature,
    History,
    Multi,
    Number,
    Numeric,
    Vector,
    platform_features,
)
from easq.recipe.values import Side
from easq.service.http.messages import JSON, MSGPACK, Format

_Scalar = bool | int | float | str | None


class FeatureDecoder:
    """Decodes feature values of one format (rank.query.Decoder)."""

    def __init__(self, form: Format) -> None:
        self._value = form.reader(_Scalar | list[_Scalar])
        self._rows = form.reader(list[Raw])
        self._lists = form.reader(list[list[_Scalar] | None])
        self._column = form.reader(list[_Scalar] | bytes if form is MSGPACK else list[_Scalar])
        # Bytes are a text of base64 in JSON.
        self._vector = form.reader(list[_Scalar] | bytes | None)
        self._vectors = form.reader(list[list[_Scalar] | bytes | None] | bytes)

    def value(self, value: Raw, feature: Feature, place: str) -> Any:
        """Return one value of a feature; raise InputError, naming the place, if it cannot have it."""
        return (self._vector if isinstance(feature, Vector) else self._value).read(value, place)

    def column(self, column: Raw, feature: Feature, num_rows: int, place: str) -> Any:
        """Return one value per row, or packed bytes; raise InputError, naming the place."""
        if isinstance(feature, Vector):
            return self._vectors.read(column, place)
        if not isinstance(feature, Multi | History):
            return self._column.read(column, place)
        check_num_rows(len(self._rows.read(column, place)), num_rows, place)
        return self._lists.read(column, place)


DECODERS = {form: FeatureDecoder(form) for form in (JSON, MSGPACK)}


class FeaturePacker:
    """Checks and packs the features of one side that a platform puts."""

    def __init__(self, features: Sequence[Feature], side: Side) -> None:
        self._side = side
        self._features = platform_features(features, side)
        self._others = {f.name: _why_not(f) for f in features if f.name not in self._features}

    def pack(self, values: Mapping[str, Raw], form: Format) -> dict[str, Column]:
        """Return a packed column per feature; unknown values are left out, lists cut to their length.

        Raises InputError, naming the feature, what was given and what is allowed.
        """
        columns = {}
        for name, value in values.items():
            feature = self._features.get(name)
            if feature is None:
                why = self._others.get(name, "it is unknown")
                allowed = ", ".join(self._features) or "none"
                raise InputError(f"features.{cut(name)}: {why}; allowed of the {self._side}: {allowed}")
            column = _pack(feature, DECODERS[form].value(value, feature, f"features.{name}"))
            if column is not None:
                columns[name] = column
        return columns


def _why_not(feature: Feature) -> str:
    if isinstance(feature, History) or (isinstance(feature, Numeric) and feature.rate):
        return "the service computes it from events"
    return f"it is a feature of the {feature.side}"


def _pack(feature: Feature, value: Any) -> Column | None:
    if value is None:
        return None
    if isinstance(feature, Vector):
        vector_1D = parse_vectors([value], feature.dim, 1, f"features.{feature.name}")
        return None if np.isnan(vector_1D).any() else vector_1D.tobytes()
    if isinstance(feature, Number):
        return _pack_number(feature.name, value)
    if isinstance(feature, Categorical) and _is_category(value):
        return pack_ids(category_ids([value]))
    if isinstance(feature, Multi) and isinstance(value, list):
        if len(value) > LONGEST:
            raise InputError(f"features.{feature.name}: got {len(value)} values; allowed: {LONGEST}")
        # Values that the model does not read are neither hashed nor logged.
        value = value[: feature.length]
        if all(map(_is_category, value)):
            return pack_ids(category_ids(value))
    one = "a text or an integer of 64 bits"
    allowed = f"{one}, or null" if isinstance(feature, Categorical) else f"a list, each {one}, or null"
    raise InputError(f"features.{feature.name}: got {format_value(value)}; allowed: {allowed}")


def _pack_number(name: str, value: Any) -> Column:
    # NaN and what a float32 cannot hold fail the comparison.
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_FLOAT:
        return pack_floats([value])
    raise InputError(
        f"features.{name}: got {format_value(value)}; allowed: a finite number of 32 bits, or null"
    )


def _is_category(value: object) -> bool:
    return isinstance(value, str) or (type(value) is int and -(1 << 63) <= value < 1 << 63)
