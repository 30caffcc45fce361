"""Columns of a block of rows, packed once. Each request takes its part."""

import polars as pl

from easq.log.packing import FLOAT, Column, pack_counts, pack_floats, pack_ids
from easq.sources.datasets.cells import vectors


class PackedColumn:
    """A column of ids (int64), numbers (float32), lists of ids or vectors, as the bytes that events carry."""

    def __init__(self, values: pl.Series) -> None:
        self.is_multi = values.dtype == pl.List
        if self.is_multi:
            lengths = values.list.len()
            self._ends = [0, *lengths.cum_sum()]
            self._width = 8
            self._data = pack_ids(values.filter(lengths > 0).explode().to_numpy())
            self._counts = pack_counts(lengths.to_numpy())
        elif isinstance(values.dtype, pl.Array):
            dim = values.dtype.size
            vector_ND, _ = vectors(values, dim)
            self._width = FLOAT.itemsize * dim
            self._data = vector_ND.tobytes()
        elif values.dtype == pl.Int64:
            self._width = 8
            self._data = pack_ids(values.to_numpy())
        else:
            self._width = 4
            self._data = pack_floats(values.to_numpy())

    def rows(self, first: int, end: int) -> Column:
        """Return the column of some rows."""
        if self.is_multi:
            first, end = self._ends[first], self._ends[end]
        return self._data[self._width * first : self._width * end]

    def counts(self, first: int, end: int) -> Column:
        """Return the number of ids of each of some rows of a column of lists."""
        return self._counts[2 * first : 2 * end]
