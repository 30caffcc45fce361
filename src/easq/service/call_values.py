"""Values of a client's call as programs hold them, made to what the service takes or refused by their name.

Programs hold NumPy arrays and scalars, columns of data frames, generators, and NaN or None where a frame has
nothing. All verbs of the client treat them alike: an unknown feature is None, an id is a text, and a number
is a number.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from easq.errors import InputError, format_value
from easq.log.packing import FLOAT

_NO_VALUES = "mMcV"  # NumPy's kinds of times, complex numbers and raw bytes


def plain(value: Any, place: str) -> Any:
    """Return a feature's value, a column of them or a mapping as plain objects, with NaN in them as None.

    An array of floats with two dimensions holds vectors, and becomes the bytes of a column of them.

    Raises InputError, naming `place`, for what has no meaning as a feature.
    """
    if isinstance(value, np.ma.MaskedArray):
        shown = np.asarray(value.data).astype(object)
        shown[np.ma.getmaskarray(value)] = None
        return plain(shown.tolist(), place)
    if isinstance(value, np.ndarray | np.generic):
        return _from_array(np.asarray(value), place)
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if value is None or isinstance(value, str | bytes | int):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(entry, f"{place}.{name}") for name, entry in value.items()}
    return _from_others(value, place)


def named(values: Any, place: str) -> dict[str, Any]:
    """Return features by name as plain objects, none for None. Raises InputError."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise _wrong(values, place, "a mapping of names to values")
    plain_values: dict[str, Any] = plain(values, place)
    return plain_values


def entries(profiles: Any, id_field: str) -> Iterator[dict[str, Any]]:
    """Return items or viewers, by id, as entries of a batch. Raises InputError."""
    if not callable(getattr(profiles, "items", None)):
        raise _wrong(profiles, f"{id_field}s", "a mapping of ids to features")
    return ({id_field: key, "features": values} for key, values in profiles.items())


def text_id(value: Any, place: str) -> str:
    """Return an id as text: a text, or an integer, whose digits it becomes. Raises InputError."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    raise _wrong(value, place, "a text or an integer")


def text_ids(values: Any, place: str) -> list[str]:
    """Return several ids as texts. Raises InputError."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise _wrong(values, place, "several ids")
    return [text_id(value, place) for value in values]


def number(value: Any, place: str) -> float:
    """Return a number as a float. Raises InputError, also for NaN and infinity."""
    try:
        # A text that float() could read is a column that was not converted.
        is_none = value is np.ma.masked or isinstance(value, str | bytes | bytearray)
        result = math.nan if is_none else float(value)
    except (TypeError, ValueError, OverflowError):
        raise _wrong(value, place, "a finite number") from None
    if not math.isfinite(result):
        raise _wrong(value, place, "a finite number")
    return result


def whole(value: Any, place: str) -> int:
    """Return a whole number as an int. Raises InputError."""
    result = number(value, place)
    if not result.is_integer() or isinstance(value, bool):
        raise _wrong(value, place, "a whole number")
    return int(value)


def profile(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item or a viewer, its id and features, with plain values; raise InputError."""
    return {
        name: plain(value, name) if name == "features" else text_id(value, name)
        for name, value in fields.items()
    }


def event(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event of a batch with plain values; raise InputError, naming the field.

    Which fields an event has is left to the service.
    """
    if not isinstance(fields, Mapping):
        raise _wrong(fields, "it", "an event, as a mapping of its fields")
    event: dict[str, Any] = {}
    for name, value in fields.items():
        if name in ("event_id", "user_id", "request_id", "item_id"):
            event[name] = text_id(value, name)
        elif name == "items":
            event[name] = text_ids(value, name)
        elif name == "values":
            if not isinstance(value, Mapping):
                raise _wrong(value, name, "a mapping of behaviors to one number for each item")
            event[name] = {str(key): _numbers(column, f"values.{key}") for key, column in value.items()}
        elif name == "propensity":
            event[name] = number(value, name)
        elif name == "ts":
            event[name] = None if value is None else whole(value, name)
        else:
            event[name] = plain(value, name)
    return event


def _numbers(column: Any, place: str) -> list[float]:
    if isinstance(column, str | bytes | Mapping) or not isinstance(column, Iterable):
        raise _wrong(column, place, "one number for each item")
    return [number(value, place) for value in column]


def _from_others(value: Any, place: str) -> Any:
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if hasattr(value, "tolist"):  # a column of a data frame, a tensor, an array of the standard library
        return plain(value.tolist(), place)
    if isinstance(value, Iterable):
        return [plain(entry, place) for entry in value]
    if type(value).__name__ == "NAType":  # what pandas holds where nothing is
        return None
    allowed = "a text, a number, None, or several"
    raise InputError(f"{place}: got {format_value(value)}, a {type(value).__name__}; allowed: {allowed}")


def _from_array(array: NDArray[Any], place: str) -> Any:
    kind = array.dtype.kind
    if kind in _NO_VALUES:
        raise _wrong(array.tolist(), place, "texts and numbers")
    if kind == "f" and array.ndim == 2:
        return array.astype(FLOAT).tobytes()
    if kind == "f":
        array, is_unknown = array.astype(object), np.isnan(array)
        array[is_unknown] = None
    return plain(array.tolist(), place) if kind == "O" else array.tolist()


def _wrong(value: Any, place: str, allowed: str) -> InputError:
    return InputError(f"{place}: got {format_value(value)}; allowed: {allowed}")
