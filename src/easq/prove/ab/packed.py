"""Read the packed columns of many reports at once, by their position in the encoded bytes.

Reports of one app have the same encoding: those of equal length and number of items differ only in the
payload. Such reports are rows of one matrix of bytes, and a behavior is some of its columns. A report whose
encoding differs from the first of its kind is decoded on its own.
Shapes: N reports, V entries of reports, K behaviors, L bytes of an encoding.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, I64, Bool
from easq.log.packing import FLOAT

_MOST_LAYOUTS = 200
_decoder = msgspec.msgpack.Decoder(dict[str, memoryview])


def reported_values(encoded: Sequence[msgspec.Raw], size_N: I64, names: Sequence[str]) -> tuple[F32, Bool]:
    """Return each entry's value of each behavior, 0 where none is named, and which reports are valid.

    `encoded` are maps from names to columns, `size_N` the number of items of each. A report is invalid, and
    its values are 0, if a column of one of `names` does not hold a number for each item. Raises ValueError
    for bytes that are no such map.
    """
    value_VK = np.zeros((int(size_N.sum()), len(names)), np.float32)
    is_right_N = np.ones(len(size_N), np.bool_)
    start_N = np.cumsum(size_N) - size_N
    length_N = np.fromiter(map(len, encoded), np.int64, len(encoded))
    key_N = (length_N << 32) | size_N
    waiting = [np.flatnonzero(key_N == key) for key in np.unique(key_N).tolist()]
    layouts = 0
    while waiting:
        layouts += 1
        rows = waiting.pop()
        length, size = int(length_N[rows[0]]), int(size_N[rows[0]])
        every = encoded if len(rows) == len(encoded) else [encoded[n] for n in rows.tolist()]
        byte_NL = np.frombuffer(b"".join(every), np.uint8).reshape(len(rows), length)
        places = _layout(byte_NL[0])
        is_fixed_L = np.ones(length, np.bool_)
        for first, end in places.values():
            is_fixed_L[first:end] = False
        is_alike_N = (byte_NL[:, is_fixed_L] == byte_NL[0, is_fixed_L]).all(1)
        if not is_alike_N.all():
            others = rows[~is_alike_N]
            # Without a limit, endless names of behaviors would each cost a pass over the rest.
            waiting += [others] if layouts < _MOST_LAYOUTS else np.split(others, len(others))
            rows, byte_NL = rows[is_alike_N], byte_NL[is_alike_N]
        wanted = {k: places[name] for k, name in enumerate(names) if name in places}
        if any(end - first not in (0, FLOAT.itemsize * size) for first, end in wanted.values()):
            is_right_N[rows] = False
            continue
        entry_NS = start_N[rows][:, None] + np.arange(size)
        for k, (first, end) in wanted.items():
            if end > first:
                value_VK[entry_NS, k] = np.ascontiguousarray(byte_NL[:, first:end]).view(FLOAT)
    return value_VK, is_right_N


def _layout(byte_L: NDArray[np.uint8]) -> dict[str, tuple[int, int]]:
    """Return the byte range of each column of an encoded map."""
    base = byte_L.__array_interface__["data"][0]
    places = {}
    for name, column in _decoder.decode(byte_L.data).items():
        first = np.frombuffer(column, np.uint8).__array_interface__["data"][0] - base if len(column) else 0
        places[name] = (first, first + len(column))
    return places
