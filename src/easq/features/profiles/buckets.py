"""Rates from integer counts in buckets of time, so that they do not depend on the order of events.

A bucket spans an eighth of the half-life and is kept for five half-lives, until it weighs 1/32. With its
two counts a row takes 320 bytes. Weights are multiples of 2^-16, so sums of weighted counts are exact in
float64, and every order of summation gives the same bytes.

Shapes: R rows, N rows to read, E views to add, B buckets in a ring.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from easq.arrays import F32, F64, I64, Bool
from easq.features.profiles.index import Rows

PER_HALF_LIFE = 8
NUM_BUCKETS = 5 * PER_HALF_LIFE
NEVER = -(1 << 62)
"""A bucket before all others."""

VIEWS, POSITIVES = 0, 1
ENTRY = np.dtype([("bucket", "<i8"), ("views", "<u4"), ("positives", "<u4")])
"""One bucket of one row, as it is stored."""

_GRAIN = float(1 << 16)


class Buckets:
    """The share of views with a behavior (positives), by row. Counts halve every `half_life_ms`.

    The rate of a row with few views is pulled to the rate of all rows, as if it had `prior_views` of those.
    A view older than the ring does not count. A view newer than the time of reading has its full weight.
    """

    def __init__(self, half_life_ms: float, prior_views: float) -> None:
        if half_life_ms <= 0 or prior_views <= 0:
            raise ValueError(f"half-life and prior must be positive, got {half_life_ms} and {prior_views}")
        self._half_life, self._prior = half_life_ms, prior_views
        self._width = max(1, round(half_life_ms / PER_HALF_LIFE))
        self._count_R2B = np.zeros((1, 2, NUM_BUCKETS), np.uint32)
        self._latest_R = np.full(1, NEVER, np.int64)
        self._all_2B = np.zeros((2, NUM_BUCKETS), np.int64)
        self._newest = NEVER

    @property
    def newest(self) -> int:
        """Return the newest bucket that holds a view, NEVER before the first view."""
        return self._newest

    def reserve(self, num_rows: int) -> None:
        """Make room for rows below `num_rows`. Capacity at least doubles."""
        capacity = len(self._latest_R)
        if num_rows > capacity:
            added = max(num_rows, 2 * capacity) - capacity
            self._count_R2B = np.concatenate([self._count_R2B, np.zeros((added, 2, NUM_BUCKETS), np.uint32)])
            self._latest_R = np.concatenate([self._latest_R, np.full(added, NEVER, np.int64)])

    def add(self, row_E: ArrayLike, ts_E: ArrayLike, is_view_E: ArrayLike, is_positive_E: ArrayLike) -> bool:
        """Count views and positives of rows. Return whether older buckets were dropped for a newer one."""
        bucket_E = np.asarray(ts_E, np.int64) // self._width
        if not len(bucket_E):
            return False
        has_moved = self.advance(int(bucket_E.max()))
        row_E = np.asarray(row_E, np.intp)
        is_kept_E = bucket_E > self._newest - NUM_BUCKETS
        np.maximum.at(self._latest_R, row_E[is_kept_E], bucket_E[is_kept_E])
        for kind, is_counted_E in ((VIEWS, is_view_E), (POSITIVES, is_positive_E)):
            used = is_kept_E & np.asarray(is_counted_E, np.bool_)
            slots = bucket_E[used] % NUM_BUCKETS
            np.add.at(
                self._count_R2B.reshape(-1), (2 * row_E[used] + kind) * NUM_BUCKETS + slots, np.uint32(1)
            )
            np.add.at(self._all_2B[kind], slots, 1)
        return has_moved

    def rates(self, row_N: Rows, ts: int) -> F32:
        """Return the rate of each row as of `ts`, NaN before any view."""
        # As of the newest view: both sums decay together, so the ratio stays valid after a pause.
        newest_ts = self._newest * self._width + self._width // 2
        views_all, positives_all = (self._all_2B @ self._weights(newest_ts)).tolist()
        if not views_all:
            return np.full(len(row_N), np.nan, np.float32)
        count_N2B = self._count_R2B.take(row_N, axis=0).astype(np.float64)
        sum_N2 = (count_N2B.reshape(-1, NUM_BUCKETS) @ self._weights(ts)).reshape(-1, 2)
        prior = self._prior * (positives_all / views_all)
        rate_N: F64 = (sum_N2[:, POSITIVES] + prior) / (sum_N2[:, VIEWS] + self._prior)
        return rate_N.astype(np.float32)

    def counts(self, row_N: Rows) -> NDArray[np.uint32]:
        """Return a copy of the counts of some rows, for `entries`."""
        return self._count_R2B.take(row_N, axis=0)

    def restore(self, row_E: Rows, entry_E: NDArray[np.void]) -> None:
        """Restore stored buckets that are in the ring, each once."""
        slot_E = entry_E["bucket"] % NUM_BUCKETS
        np.maximum.at(self._latest_R, row_E, entry_E["bucket"])
        for kind, name in ((VIEWS, "views"), (POSITIVES, "positives")):
            self._count_R2B[row_E, kind, slot_E] = entry_E[name]
            np.add.at(self._all_2B[kind], slot_E, entry_E[name].astype(np.int64))

    def is_quiet(self) -> Bool:
        """Return, by row, whether all its buckets have left the ring."""
        return self._latest_R <= self._newest - NUM_BUCKETS

    def advance(self, bucket: int) -> bool:
        """Start a newer bucket and drop those too old for the ring. Return whether it is newer."""
        if bucket <= self._newest:
            return False
        begun = np.arange(max(self._newest, bucket - NUM_BUCKETS) + 1, bucket + 1) % NUM_BUCKETS
        self._count_R2B[:, :, begun] = 0
        self._all_2B[:, begun] = 0
        self._newest = bucket
        return True

    def _weights(self, ts: int) -> F64:
        middle_B = (_buckets(self._newest) + 0.5) * self._width
        weight_B = np.exp2(np.maximum(ts - middle_B, 0.0) / -self._half_life)
        weights: F64 = np.rint(weight_B * _GRAIN) / _GRAIN
        return weights


def entries(count_N2B: NDArray[np.uint32], newest: int) -> list[bytes]:
    """Return the non-empty buckets of each row as `ENTRY`. `newest` is the newest bucket of the counts."""
    row_E, slot_E = np.nonzero(count_N2B.any(axis=1))
    entry_E = np.empty(len(row_E), ENTRY)
    entry_E["bucket"] = _buckets(newest)[slot_E]
    entry_E["views"], entry_E["positives"] = (
        count_N2B[row_E, VIEWS, slot_E],
        count_N2B[row_E, POSITIVES, slot_E],
    )
    packed = entry_E.tobytes()
    ends = (np.cumsum(np.bincount(row_E, minlength=len(count_N2B))) * ENTRY.itemsize).tolist()
    return [packed[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def _buckets(newest: int) -> I64:
    """Return the bucket at each place of the ring."""
    return newest - (newest - np.arange(NUM_BUCKETS)) % NUM_BUCKETS
