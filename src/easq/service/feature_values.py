"""Values of features as a call brings them: read one by one, and no deeper than a feature can be.

A body may hold millions of lists in lists. They are passed over as bytes until it is known which feature
they belong to, and refused at the first one that cannot be.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from easq.errors import InputError, first_unknown
from easq.features.columns import Shape
from easq.service.http.messages import JSON, MSGPACK, Format

_Scalar = bool | int | float | str | None
_FORMS = (JSON, MSGPACK)

_VALUES = {form: form.reader(_Scalar | list[_Scalar]) for form in _FORMS}
_ROWS = {form: form.reader(list[Raw]) for form in _FORMS}
_LISTS = {form: form.reader(list[list[_Scalar]]) for form in _FORMS}
_COLUMNS = {JSON: JSON.reader(list[_Scalar]), MSGPACK: MSGPACK.reader(list[_Scalar] | bytes)}


def read_value(value: Raw, form: Format, place: str) -> Any:
    """Return one value of a feature; raise InputError, naming the place, for what no feature can have."""
    return _VALUES[form].read(value, place)


def read_context(given: Mapping[str, Raw], shape: Shape, form: Format) -> dict[str, Any]:
    """Return the viewer's values of this moment; raise InputError for an unknown or impossible one."""
    _check_names(given, shape, "context")
    return {name: read_value(value, form, f"context.{name}") for name, value in given.items()}


def read_columns(given: Mapping[str, Raw], shape: Shape, num_rows: int, form: Format) -> dict[str, Any]:
    """Return columns of candidate features; raise InputError for an unknown or impossible one."""
    _check_names(given, shape, "features")
    lists = {feature.name for feature in shape.lists}
    columns = {}
    for name, column in given.items():
        place = f"features.{name}"
        if name in lists:
            if (found := len(_ROWS[form].read(column, place))) != num_rows:
                raise InputError(f"{place}: got {found} values; allowed: one value for each of {num_rows}")
            columns[name] = _LISTS[form].read(column, place)
        else:
            columns[name] = _COLUMNS[form].read(column, place)
    return columns


def _check_names(given: Mapping[str, Raw], shape: Shape, field: str) -> None:
    if (unknown := first_unknown(given, shape.names)) is not None:
        raise InputError(f"{field}: unknown feature {unknown!r}; allowed: {', '.join(shape.names) or 'none'}")
