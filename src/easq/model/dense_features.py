"""Embeddings of dense features: of vectors by a learned map, of numbers by quantiles or standardised.

Shapes: R rows (viewers or candidates), D numbers of a vector, X numbers of a side's dense features, E width
of an embedding, Q intervals.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from easq.arrays import F32, F64
from easq.features.batch import Batch
from easq.features.layout import DenseSlot, Layout
from easq.log.packing import LARGEST_FLOAT
from easq.recipe.features import Numeric, Vector

NUM_INTERVALS = 16
"""Of a number by quantiles."""
NUM_FIRST = 2_000
"""Values from which their boundaries are taken: each share is then right to about one in a hundred."""

_SCALE = 0.1
"""Of the first values: those of the embedding table are as large."""
_LEAST = 1e-30
_MOST_DEVIATIONS = 8.0
_HALF_LIFE = 1_000_000


class VectorMap(nn.Module):
    """Maps the direction of a vector linearly: each is divided by its length, and a zero vector stays zero.

    Lengths say little where vectors come from networks trained for angles, and a model would have to learn
    their scale. An unknown vector, and one that is not finite, has an embedding of its own.
    """

    def __init__(self, num: int, width: int, random: torch.Generator) -> None:
        super().__init__()
        self.weight_DE = nn.Parameter(_SCALE * torch.randn(num, width, generator=random))
        self.unknown_E = nn.Parameter(_SCALE * torch.randn(width, generator=random))

    def forward(self, value_RD: Tensor) -> Tensor:
        """Return the embeddings of vectors."""
        is_known_R1 = (value_RD.abs() <= LARGEST_FLOAT).all(1, keepdim=True)
        value_RD = torch.where(is_known_R1, value_RD, 0.0)
        # First by the largest number: squares of large ones would be infinite, those of small ones zero.
        value_RD = value_RD / value_RD.abs().amax(1, keepdim=True).clamp(min=_LEAST)
        length_R1 = value_RD.square().sum(1, keepdim=True).sqrt().clamp(min=_LEAST)
        return torch.where(is_known_R1, value_RD / length_R1 @ self.weight_DE, self.unknown_E)


class StandardizedMap(nn.Module):
    """Maps a number, less a mean and over a spread, at most 8 spreads either way; with one for unknown."""

    def __init__(self, width: int, random: torch.Generator) -> None:
        super().__init__()
        self.weight_1E = nn.Parameter(_SCALE * torch.randn(1, width, generator=random))
        self.bias_E = nn.Parameter(_SCALE * torch.randn(width, generator=random))
        self.unknown_E = nn.Parameter(_SCALE * torch.randn(width, generator=random))
        # Mean and standard deviation.
        self.register_buffer("scale_2", torch.tensor([0.0, 1.0]))
        self.scale_2: Tensor

    def forward(self, value_R1: Tensor) -> Tensor:
        """Return the embeddings of numbers."""
        is_known_R1 = value_R1.abs() <= LARGEST_FLOAT
        standard_R1 = (torch.where(is_known_R1, value_R1, 0.0) - self.scale_2[0]) / self.scale_2[1]
        standard_R1 = standard_R1.clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS)
        return torch.where(is_known_R1, standard_R1 * self.weight_1E + self.bias_E, self.unknown_E)


class QuantileMap(nn.Module):
    """One embedding for each interval between boundaries, and a last one for unknown.

    Before there are boundaries every number lies in the first interval.
    """

    def __init__(self, width: int, random: torch.Generator) -> None:
        super().__init__()
        self.weight_QE = nn.Parameter(_SCALE * torch.randn(NUM_INTERVALS + 1, width, generator=random))
        self.register_buffer("boundary_Q", torch.full((NUM_INTERVALS - 1,), LARGEST_FLOAT))
        self.boundary_Q: Tensor

    def forward(self, value_R1: Tensor) -> Tensor:
        """Return the embeddings of numbers."""
        interval_R = (value_R1 >= self.boundary_Q).sum(1)
        is_known_R = value_R1.squeeze(1).abs() <= LARGEST_FLOAT
        return functional.embedding(torch.where(is_known_R, interval_R, NUM_INTERVALS), self.weight_QE)

    @property
    def has_boundaries(self) -> bool:
        """Whether boundaries were found."""
        return bool(self.boundary_Q[0] < LARGEST_FLOAT)

    @torch.no_grad()
    def divide(self, boundary_Q: Tensor) -> None:
        """Set the boundaries. Every interval begins with what the only one before them has learned."""
        self.boundary_Q.copy_(boundary_Q)
        self.weight_QE[:-1] = self.weight_QE[0].clone()


DenseMap = VectorMap | StandardizedMap | QuantileMap


class DenseEmbeddings(nn.Module):
    """Embeds the dense features of both sides, each as wide as an embedding of the table.

    The first values come from a random state of their own, so those of everything else are as without them.
    """

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(torch.initial_seed())
        self._slots = layout.viewer_dense, layout.candidate_dense
        self.viewer, self.candidate = (
            nn.ModuleList(_map_of(slot, width, random) for slot in side) for side in self._slots
        )

    def forward(self, values: tuple[Tensor, Tensor] | None) -> tuple[list[Tensor], list[Tensor]]:
        """Return the embeddings of viewers (B x E) and of candidates (N x E), by feature."""
        if not (self.viewer or self.candidate):
            return [], []
        assert values is not None, "rows of a layout with dense features bring them"
        viewer, candidate = (
            [embed(value_RX[:, slot.start : slot.stop]) for embed, slot in zip(maps, slots, strict=True)]
            for maps, slots, value_RX in zip((self.viewer, self.candidate), self._slots, values, strict=True)
        )
        return viewer, candidate


def _map_of(slot: DenseSlot, width: int, random: torch.Generator) -> DenseMap:
    feature = slot.feature
    if isinstance(feature, Vector):
        return VectorMap(feature.dim, width, random)
    return StandardizedMap(width, random) if feature.standardized else QuantileMap(width, random)


class DenseStatistics:
    """What the numbers among dense features were like so far: their spread, or the boundaries of intervals.

    Means and spreads forget half of what they saw in so many values, as the scale of a reference does.
    Boundaries are the quantiles of the first values and then stay, so what the embedding of an interval has
    learned keeps its meaning. Numbers of viewed rows count, a viewer's once for each request.
    """

    def __init__(self, layout: Layout, pooling: nn.Module) -> None:
        embeddings = [module for module in pooling.modules() if isinstance(module, DenseEmbeddings)]
        self._numbers: dict[str, tuple[bool, int, _Spread | _Quantiles]] = {}
        for is_viewer, slots in ((True, layout.viewer_dense), (False, layout.candidate_dense)):
            for place, slot in enumerate(slots):
                maps = [(e.viewer if is_viewer else e.candidate)[place] for e in embeddings]
                if isinstance(slot.feature, Numeric):
                    seen = _Spread(maps) if slot.feature.standardized else _Quantiles(maps)
                    self._numbers[slot.feature.name] = is_viewer, slot.start, seen

    def add(self, batch: Batch) -> None:
        """Add the viewed rows of a step, and move what is served."""
        rows, num = batch.rows, batch.num_viewed
        if not (self._numbers and num):
            return
        assert rows.dense is not None
        num_requests = int(rows.request_N[num - 1]) + 1
        for is_viewer, column, seen in self._numbers.values():
            if is_viewer:
                value_R = rows.dense.viewer_BX[:num_requests, column]
            else:
                value_R = rows.dense.candidate_NY[:num, column]
            seen.add(value_R[np.isfinite(value_R)])

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what was seen, by feature; nothing where there are no such numbers."""
        return {name: seen.state() for name, (_, _, seen) in self._numbers.items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        for name, (_, _, seen) in self._numbers.items():
            seen.restore(state[name])


class _Spread:
    """Sums of values and of their squares, relative to the first value.

    A small spread far from 0 would be lost in rounding.
    """

    def __init__(self, maps: Sequence[nn.Module]) -> None:
        self._maps = [one for one in maps if isinstance(one, StandardizedMap)]
        # Values, their sum and that of their squares; and the first value.
        self._sums: F64 = np.array([0.0, 0.0, 0.0, np.nan])

    def add(self, value_R: F32) -> None:
        if not len(value_R):
            return
        if np.isnan(self._sums[3]):
            self._sums[3] = value_R[0]
        shifted_R = value_R.astype(np.float64) - self._sums[3]
        forget = 0.5 ** (len(shifted_R) / _HALF_LIFE)
        new = len(shifted_R), shifted_R.sum(), np.square(shifted_R).sum()
        self._sums[:3] = forget * self._sums[:3] + new
        num, total, squares, first = self._sums
        mean = total / num
        # A number that never changes has no spread, and one is as good as another.
        deviation = max(squares / num - mean**2, 0.0) ** 0.5 or 1.0
        for one in self._maps:
            one.scale_2.copy_(torch.tensor([mean + first, max(deviation, _LEAST)]))

    def state(self) -> NDArray[np.generic]:
        return self._sums

    def restore(self, state: NDArray[np.generic]) -> None:
        self._sums = state.astype(np.float64)


class _Quantiles:
    """The first values, until there are enough for boundaries; then none is kept."""

    def __init__(self, maps: Sequence[nn.Module]) -> None:
        self._maps = [one for one in maps if isinstance(one, QuantileMap)]
        self._first: F32 = np.zeros(0, np.float32)

    def add(self, value_R: F32) -> None:
        if self._maps[0].has_boundaries or not len(value_R):
            return
        self._first = np.concatenate([self._first, value_R])[:NUM_FIRST]
        if len(self._first) == NUM_FIRST:
            place_Q = np.arange(1, NUM_INTERVALS) * NUM_FIRST // NUM_INTERVALS
            boundary_Q = torch.from_numpy(np.sort(self._first)[place_Q])
            for one in self._maps:
                one.divide(boundary_Q)
            self._first = np.zeros(0, np.float32)

    def state(self) -> NDArray[np.generic]:
        return self._first

    def restore(self, state: NDArray[np.generic]) -> None:
        self._first = state.astype(np.float32)
