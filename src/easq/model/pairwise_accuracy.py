"""How well scores reproduce the behavior order within requests, and whether they make an order at all.

Shapes: M viewed rows, B requests.
"""

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F64, I64


def pairs_right(
    request_M: I64, level_M: NDArray[np.floating], score_N: NDArray[np.floating]
) -> tuple[F64, F64]:
    """Return per request the number of correctly ordered pairs of different levels, and of all such pairs.

    Tied scores count as half correct. Only the first M of `score_N` are read.
    """
    level, score = grid_of(request_M, level_M), grid_of(request_M, score_N[: len(level_M)])
    pair = level[:, :, None] > level[:, None, :]
    right = (np.sign(score[:, :, None] - score[:, None, :]) + 1) / 2
    return np.where(pair, right, 0.0).sum((1, 2)), pair.sum((1, 2)).astype(np.float64)


def tied_lists(request_M: I64, score_N: NDArray[np.floating]) -> tuple[int, int]:
    """Return the number of requests of several rows with one score for all, and of all that have several.

    Only the first M of `score_N` are read.

    >>> tied_lists(np.array([0, 0, 1, 1, 2]), np.array([1e-6, 1e-6, 0.2, 0.3, 1.0]))
    (1, 2)
    """
    score = grid_of(request_M, score_N[: len(request_M)])
    score = score[(~np.isnan(score)).sum(1) > 1]
    if not len(score):
        return 0, 0
    return int((np.nanmin(score, 1) == np.nanmax(score, 1)).sum()), len(score)


def first_levels(
    request_M: I64, level_M: NDArray[np.floating], score_N: NDArray[np.floating], k: int
) -> tuple[F64, F64]:
    """Return per request the summed level of its first k rows by score, and the number of these rows.

    Both are 0 for requests of k rows or fewer, which leave no choice. Only the first M of `score_N` are read.
    """
    level, score = grid_of(request_M, level_M), grid_of(request_M, score_N[: len(level_M)])
    size_B = (~np.isnan(score)).sum(1)
    chosen = np.argsort(-score, axis=1, kind="stable")[:, :k]
    sum_B = np.nansum(np.take_along_axis(level, chosen, 1), 1)
    return np.where(size_B > k, sum_B, 0.0), np.where(size_B > k, float(k), 0.0)


def margins(request_M: I64, level_M: NDArray[np.floating], score_N: NDArray[np.floating]) -> F64:
    """Return the better minus the worse row's score of every pair of different levels in one request."""
    level, score = grid_of(request_M, level_M), grid_of(request_M, score_N[: len(level_M)])
    pair = level[:, :, None] > level[:, None, :]
    margin_P: F64 = (score[:, :, None] - score[:, None, :])[pair]
    return margin_P


def grid_of(request_M: I64, values_M: NDArray[np.floating | np.integer]) -> F64:
    """Lay rows out as requests x places, NaN where a request is shorter than the longest."""
    size_B = np.bincount(request_M)
    start_B = np.cumsum(size_B) - size_B
    grid = np.full((len(size_B), int(size_B.max(initial=0))), np.nan)
    grid[request_M, np.arange(len(request_M)) - start_B[request_M]] = values_M
    return grid
