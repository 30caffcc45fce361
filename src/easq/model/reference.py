"""Another ranker's score as the behavior score: in levels of behavior, so that a price can be held.

The order is the ranker's own. Only its scale is learned: by least squares of the levels seen on the scores,
as the level that a score stands for. Shapes: N rows, M viewed rows, S scores of the layout.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from easq.arrays import F64
from easq.features.batch import Batch
from easq.features.layout import Layout
from easq.recipe.features import Reference, score_names

_PRIOR_VIEWS = 100.0
_PRIOR_SLOPE = 0.1
"""Levels per standard deviation of the score, before any is seen."""
_LEAST_SLOPE = 1e-3
"""The order stays the ranker's own, even where its score foretells no behavior."""


class ReferencePlace(NamedTuple):
    """Which of the layout's scores is the reference, and how fast its scale forgets."""

    number: int
    half_life_views: float

    @staticmethod
    def of(reference: Reference, layout: Layout) -> "ReferencePlace":
        """Return the place of a recipe's reference."""
        return ReferencePlace(score_names(layout.scores).index(reference.feature), reference.half_life_views)


class ReferenceLevel(nn.Module):
    """The level that a score stands for. A row whose score is unknown has that of the mean score."""

    def __init__(self, place: ReferencePlace) -> None:
        super().__init__()
        self._number = place.number
        # Mean score, its standard deviation, mean level, and levels per standard deviation.
        self.register_buffer("scale_4", torch.tensor([0.0, 1.0, 0.0, _PRIOR_SLOPE]))
        self.scale_4: Tensor

    def forward(self, score_NS: Tensor) -> Tensor:
        """Return the levels of rows."""
        mean, deviation, level, slope = self.scale_4
        standard_N = torch.nan_to_num((score_NS[:, self._number] - mean) / deviation, nan=0.0)
        level_N: Tensor = level + slope * standard_N
        return level_N


class ReferenceScale:
    """Learns the scale of a reference from viewed rows, the older ones forgotten by half-lives.

    The sums are those of views, scores, levels, squared scores, and scores times levels; scores relative to
    the first one seen, because a score far from 0 with a small spread would lose its spread in rounding.
    """

    def __init__(self, network: ReferenceLevel, place: ReferencePlace) -> None:
        self._network, self._place = network, place
        self._sums: F64 = np.zeros(5)
        self._origin = np.full(1, np.nan)

    def add(self, batch: Batch) -> None:
        """Add the viewed rows of a step, and move the scale that is served."""
        score_M = batch.rows.score_NS[: batch.num_viewed, self._place.number].astype(np.float64)
        is_known_M = np.isfinite(score_M)
        if not is_known_M.any():
            return
        score, level = score_M[is_known_M], batch.level_M[is_known_M].astype(np.float64)
        if np.isnan(self._origin[0]):
            self._origin = score[:1].copy()
        score = score - self._origin[0]
        forget = 0.5 ** (len(score) / self._place.half_life_views)
        new = (len(score), score.sum(), level.sum(), (score * score).sum(), (score * level).sum())
        self._sums = forget * self._sums + new
        views, scores, levels, squares, products = self._sums
        mean = scores / views
        variance = max(squares / views - mean**2, 0.0)
        deviation = variance**0.5 or 1.0
        seen = (products - mean * levels) / deviation
        slope = (seen + _PRIOR_SLOPE * _PRIOR_VIEWS) / (views + _PRIOR_VIEWS)
        scale = (mean + self._origin[0], deviation, levels / views, max(slope, _LEAST_SLOPE))
        self._network.scale_4.copy_(torch.tensor(scale))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the sums."""
        return {"sums": self._sums, "origin": self._origin}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        self._sums, self._origin = (state[name].astype(np.float64) for name in ("sums", "origin"))
