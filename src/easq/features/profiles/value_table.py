"""Values from the platform of all viewers or all items, with the rates of each.

Values are arrays by row, so that the candidates of a request are gathered in one operation per kind.
Shapes: R rows, N keys to read, K single ids, M numbers, L entries of a list, D numbers of a vector,
F features given, E views.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from easq.arrays import I64
from easq.features.columns import UNKNOWN, Columns, List, Shape, empty
from easq.features.profiles.buckets import ENTRY, NUM_BUCKETS, Buckets
from easq.features.profiles.index import NOBODY, Index
from easq.log.ids import category_id
from easq.log.packing import FLOAT, ID, Column, pack_floats, pack_ids
from easq.recipe.features import Multi

T = TypeVar("T", bound=np.generic)

_HOUR_MS = 3_600_000
_UNKNOWN, _NAN = pack_ids([UNKNOWN]), pack_floats([np.nan])


Values = Mapping[str, Column]
"""Packed columns of one row, by feature."""


class RateColumn(NamedTuple):
    """The counts behind a numeric feature, and its place among the numbers."""

    place: int
    buckets: Buckets


class _Values(NamedTuple):
    """The values of one row as bytes, and which of the features were given."""

    ids: bytes
    numbers: bytes
    lists: list[bytes]
    vectors: list[bytes]
    is_given: list[bool]


class ValueTable:
    """One side's values by key. The categorical feature `own` is the key itself unless given.

    Rates and histories cannot be given. Lists are cut to the length that the model reads.
    """

    def __init__(self, shape: Shape, own: str) -> None:
        self._multi = tuple(f for f in shape.lists if isinstance(f, Multi))
        self._own = next((k for k, f in enumerate(shape.singles) if f.name == own), None)
        self._single_names = [f.name for f in shape.singles]
        self._number_names = [f.name for f in shape.numbers if f.rate is None]
        self._given_numbers = [m for m, f in enumerate(shape.numbers) if f.rate is None]
        self._vector_sizes = [(f.name, f.dim * FLOAT.itemsize) for f in shape.vectors]
        of_several = [f.name for f in self._multi] + [f.name for f in shape.vectors]
        self._given_names = [*self._single_names, *self._number_names, *of_several]
        self.rates = [
            RateColumn(m, Buckets(f.rate.half_life_hours * _HOUR_MS, f.rate.prior_views))
            for m, f in enumerate(shape.numbers)
            if f.rate is not None
        ]
        self.index: Index[str] = Index()
        nothing = empty(Shape(shape.singles, shape.numbers, self._multi, shape.vectors), 1)
        self._ids_RK, self._numbers_RM = nothing.ids_NK, nothing.numbers_NM
        self._lists, self._vectors = nothing.lists, nothing.vectors
        self._is_known_R = np.zeros(1, np.bool_)
        self._is_given_RF = np.zeros((1, len(self._given_names)), np.bool_)

    def put(self, updates: Iterable[tuple[str, Values]]) -> tuple[dict[str, Values], int]:
        """Replace all values of the keys, in this order.

        Unknown names are ignored. An update with a value of a wrong size changes nothing. Returns the
        current values by key, and how many updates had a wrong size.
        """
        packed, current, refused = {}, {}, 0
        for key, values in updates:
            row = self._pack(key, values)
            if row is None:
                refused += 1
            else:
                packed[key], current[key] = row, values
        if packed:
            self._write([self._row(key) for key in packed], list(packed.values()))
        return current, refused

    def values(self, key: str) -> dict[str, Column] | None:
        """Return the values given for a key, with lists cut to their length; None if there are none."""
        row = self.index.row_of.get(key, NOBODY)
        if not self._is_known_R[row]:
            return None
        columns = [pack_ids(value) for value in self._ids_RK[row]]
        columns += [pack_floats(value) for value in self._numbers_RM[row, self._given_numbers]]
        columns += [pack_ids(ids_RL[row, : count_R[row]]) for ids_RL, count_R in self._lists]
        columns += [pack_floats(vector_RD[row]) for vector_RD in self._vectors]
        given = zip(self._given_names, columns, self._is_given_RF[row], strict=True)
        return {name: column for name, column, is_given in given if is_given}

    def cut(self, values: Values) -> dict[str, Column]:
        """Return values as `values` would return them after `put`."""
        lengths = {f.name: f.length * ID.itemsize for f in self._multi}
        return {n: values[n][: lengths.get(n)] for n in self._given_names if n in values}

    def count(
        self,
        keys: Sequence[str],
        ts_E: Sequence[int],
        is_view_E: Sequence[bool],
        positives: Sequence[list[bool]],
    ) -> list[str]:
        """Count views and, for each rate, its positives.

        Forgets the keys of which nothing is left, and returns them.
        """
        rows = [self._row(key) for key in keys]
        moved = [
            rate.buckets.add(rows, ts_E, is_view_E, is_positive_E)
            for rate, is_positive_E in zip(self.rates, positives, strict=True)
        ]
        if not any(moved):
            return []
        is_quiet_R = ~self._is_known_R
        for rate in self.rates:
            is_quiet_R &= rate.buckets.is_quiet()
        return self.index.release(np.flatnonzero(is_quiet_R[: self.index.num_rows]).tolist())

    def restore_counts(self, rate: int, newest: int, stored: Mapping[str, bytes]) -> None:
        """Restore the counts of one rate, as `Buckets` gave them. Buckets too old by now are ignored."""
        buckets = self.rates[rate].buckets
        buckets.advance(newest)
        entry_E = np.frombuffer(b"".join(stored.values()), ENTRY)
        is_fresh_E = entry_E["bucket"] > newest - NUM_BUCKETS
        keys, num_entries = list(stored), [len(data) // ENTRY.itemsize for data in stored.values()]
        key_E = np.repeat(np.arange(len(keys)), num_entries)[is_fresh_E]
        fresh, place_E = np.unique(key_E, return_inverse=True)
        rows = np.array([self._row(keys[n]) for n in fresh.tolist()], np.intp)
        buckets.restore(rows[place_E], entry_E[is_fresh_E])

    def read(self, keys: Sequence[str], ts: int) -> Columns:
        """Return the values of each key as of `ts`, without histories."""
        row_N = self.index.rows(keys)
        ids_NK = self._ids_RK.take(row_N, axis=0)
        if self._own is not None:
            for n in np.flatnonzero(row_N == NOBODY).tolist():
                ids_NK[n, self._own] = category_id(keys[n])
        numbers_NM = self._numbers_RM.take(row_N, axis=0)
        for rate in self.rates:
            numbers_NM[:, rate.place] = rate.buckets.rates(row_N, ts)
        lists = tuple(List(ids_RL.take(row_N, axis=0), count_R[row_N]) for ids_RL, count_R in self._lists)
        vectors = tuple(vector_RD.take(row_N, axis=0) for vector_RD in self._vectors)
        return Columns(ids_NK, numbers_NM, lists, vectors)

    def ids(self, keys: Sequence[str], single: int) -> I64:
        """Return one single id of each key. `single` is its place in the shape."""
        row_N = self.index.rows(keys)
        id_N: I64 = self._ids_RK[row_N, single]
        if single == self._own:
            for n in np.flatnonzero(row_N == NOBODY).tolist():
                id_N[n] = category_id(keys[n])
        return id_N

    def _row(self, key: str) -> int:
        row = self.index.row_of.get(key)
        if row is None:
            row = self.index.add(key)
            if row >= len(self._ids_RK):
                self._grow()
            if self._own is not None:
                self._ids_RK[row, self._own] = category_id(key)
        return row

    def _grow(self) -> None:
        """Double the rows. New rows hold the values of NOBODY."""
        capacity = 2 * len(self._ids_RK)
        self._ids_RK, self._numbers_RM = _doubled(self._ids_RK), _doubled(self._numbers_RM)
        self._lists = tuple(List(_doubled(i), _doubled(c)) for i, c in self._lists)
        self._vectors = tuple(map(_doubled, self._vectors))
        self._is_known_R, self._is_given_RF = _doubled(self._is_known_R), _doubled(self._is_given_RF)
        for rate in self.rates:
            rate.buckets.reserve(capacity)

    def _pack(self, key: str, values: Values) -> _Values | None:
        ids = [values.get(name, _UNKNOWN) for name in self._single_names]
        if self._own is not None and self._single_names[self._own] not in values:
            ids[self._own] = pack_ids([category_id(key)])
        numbers = [values.get(name, _NAN) for name in self._number_names]
        lists = [values.get(f.name, b"")[: f.length * ID.itemsize] for f in self._multi]
        sizes = {len(column) - ID.itemsize for column in ids} | {
            len(column) - FLOAT.itemsize for column in numbers
        }
        sizes |= {len(column) % ID.itemsize for column in lists}
        vectors = [values.get(name, _NAN * (size // FLOAT.itemsize)) for name, size in self._vector_sizes]
        sizes |= {len(v) - size for v, (_, size) in zip(vectors, self._vector_sizes, strict=True)}
        if sizes - {0}:
            return None
        is_given = [n in values for n in self._given_names]
        return _Values(b"".join(ids), b"".join(numbers), lists, vectors, is_given)

    def _write(self, rows: list[int], values: list[_Values]) -> None:
        num = len(rows)
        self._ids_RK[rows] = np.frombuffer(b"".join([v.ids for v in values]), ID).reshape(num, -1)
        numbers = np.frombuffer(b"".join([v.numbers for v in values]), FLOAT).reshape(num, -1)
        self._numbers_RM[np.ix_(rows, self._given_numbers)] = numbers
        for n, (ids_RL, count_R) in enumerate(self._lists):
            width = ids_RL.shape[1]
            entries = [v.lists[n] for v in values]
            filled = b"".join([e.ljust(width * ID.itemsize, b"\0") for e in entries])
            ids_RL[rows] = np.frombuffer(filled, ID).reshape(num, width)
            count_R[rows] = [len(e) // ID.itemsize for e in entries]
        for n, vector_RD in enumerate(self._vectors):
            column = b"".join([v.vectors[n] for v in values])
            vector_RD[rows] = np.frombuffer(column, FLOAT).reshape(num, -1)
        self._is_given_RF[rows] = [v.is_given for v in values]
        self._is_known_R[rows] = True


def _doubled(values_R: NDArray[T]) -> NDArray[T]:
    return np.concatenate([values_R, np.repeat(values_R[:1], len(values_R), axis=0)])
