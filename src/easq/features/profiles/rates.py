"""Rates of ids, for code that counts one view at a time."""

from collections.abc import Sequence

import numpy as np

from easq.arrays import F32
from easq.features.profiles.buckets import Buckets
from easq.features.profiles.index import Index


class Rates:
    """The share of views with a behavior, by id (see `Buckets`)."""

    def __init__(self, half_life_ms: float, prior_views: float) -> None:
        self._buckets = Buckets(half_life_ms, prior_views)
        self._index: Index[int] = Index()

    def observe(self, key: int, ts: int, is_positive: bool) -> None:
        """Count one view of `key`, and whether the behavior occurred."""
        row = self._index.add(key)
        self._buckets.reserve(self._index.num_rows)
        if self._buckets.add([row], [ts], [True], [is_positive]):
            quiet = np.flatnonzero(self._buckets.is_quiet()[: self._index.num_rows])
            self._index.release(quiet.tolist())

    def rates(self, keys: Sequence[int], ts: int) -> F32:
        """Return the rate of each key as of `ts`, NaN before any view."""
        return self._buckets.rates(self._index.rows(keys), ts)
