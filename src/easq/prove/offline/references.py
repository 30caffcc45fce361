"""Reference scorers that a model must beat to be useful: popularity, chance, and the platform's own ranker.

Shapes: N rows.
"""

from collections.abc import Sequence

import numpy as np

from easq.arrays import F64
from easq.features.batch import Batch
from easq.recipe.features import score_names
from easq.recipe.recipe import Recipe

_CELLS = 1 << 18
_PRIOR_VIEWS = 10.0


class Popularity:
    """An item's mean level so far, drawn towards the mean of all items while it has few views."""

    def __init__(self) -> None:
        self._sums = np.zeros((2, _CELLS))

    def score(self, batch: Batch) -> F64:
        """Score rows from the batches before this one."""
        level, views = self._sums[:, batch.item_N & (_CELLS - 1)]
        mean = self._sums[0].sum() / max(1.0, self._sums[1].sum())
        scores: F64 = (level + _PRIOR_VIEWS * mean) / (views + _PRIOR_VIEWS)
        return scores

    def observe(self, batch: Batch) -> None:
        """Learn the levels of the batch's viewed rows."""
        cell_M = batch.item_N[: batch.num_viewed] & (_CELLS - 1)
        np.add.at(self._sums[0], cell_M, batch.level_M.astype(np.float64))
        np.add.at(self._sums[1], cell_M, 1.0)

    def state(self) -> dict[str, F64]:
        """Return the sums."""
        return {"sums": self._sums}

    def restore(self, state: dict[str, F64]) -> None:
        """Become the scorer whose `state` this is."""
        self._sums = state["sums"].copy()


def random_scores(batch: Batch, seed: int) -> F64:
    """Return scores that depend on viewer, time and item alone, evenly spread over [0, 1)."""
    request = (batch.user_B ^ batch.ts_B)[batch.rows.request_N].view(np.uint64)
    x = (request + batch.item_N.astype(np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return (x >> np.uint64(11)) / np.float64(1 << 53)


def own_scores(batch: Batch, number: int) -> F64:
    """Return the platform's own scores; one that is unknown is the mean of those that the batch knows."""
    score_N = batch.rows.score_NS[:, number].astype(np.float64)
    is_known_N = np.isfinite(score_N)
    return np.where(is_known_N, score_N, score_N[is_known_N].mean() if is_known_N.any() else 0.0)


def own_ranker(recipe: Recipe) -> tuple[str, int] | None:
    """Return the feature of `[reference]` and its place among the scores, None without one."""
    own = recipe.reference
    return None if own is None else (own.feature, score_names(recipe.features).index(own.feature))


class References:
    """The reference scorers of a run; `own` is the platform's ranker, by name and place."""

    def __init__(self, names: Sequence[str], seed: int, own: tuple[str, int] | None = None) -> None:
        self.names = (*names, *(() if own is None else own[:1]))
        self._own = own
        self._seed = seed
        self._popularity = Popularity()

    def score(self, batch: Batch) -> dict[str, F64]:
        """Score a batch by each reference, then let popularity learn from it."""
        scores: dict[str, F64] = {}
        if "popularity" in self.names:
            scores["popularity"] = self._popularity.score(batch)
            self._popularity.observe(batch)
        if "random" in self.names:
            scores["random"] = random_scores(batch, self._seed)
        if self._own is not None:
            name, number = self._own
            scores[name] = own_scores(batch, number)
        return scores

    def state(self) -> dict[str, F64]:
        """Return what the references have learned."""
        return self._popularity.state()

    def restore(self, state: dict[str, F64]) -> None:
        """Become the references whose `state` this is."""
        self._popularity.restore(state)
