"""Hashed embeddings: one table for all features, read and trained by its touched rows only.

Shapes: B requests, N rows, U touched table rows, E embedding width, L list length, W and V places of viewer
and candidate, P parts of the table's width, V and C concatenated features of viewer and candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from easq.features.encode import Layout, Rows
from easq.recipe.recipe import History, Multi


class Past(NamedTuple):
    """The viewer's history entry by entry, newest first, and each candidate's embedding in its space."""

    entry_BLE: Tensor
    is_padding_BL: Tensor
    target_NE: Tensor


class Inputs(NamedTuple):
    """Concatenated feature embeddings x, the viewer's half once per request.

    `past` is there for a method that reads the history itself, `beside` for one with embeddings of a second
    kind: the same features in those. `detach` and the like leave both out.
    """

    viewer_BV: Tensor
    candidate_NC: Tensor
    request_N: Tensor
    past: Past | None = None
    beside: "Inputs | None" = None

    def detach(self) -> "Inputs":
        """Return sg(x)."""
        return Inputs(self.viewer_BV.detach(), self.candidate_NC.detach(), self.request_N)

    def select(self, row_A: Tensor) -> "Inputs":
        """Return the inputs of some rows, each a request of its own."""
        viewer_AV = self.viewer_BV.index_select(0, self.request_N[row_A])
        return Inputs(viewer_AV, self.candidate_NC.index_select(0, row_A), torch.arange(len(row_A)))

    def first(self, num_rows: int) -> "Inputs":
        """Return the inputs of the first rows."""
        return Inputs(self.viewer_BV, self.candidate_NC[:num_rows], self.request_N[:num_rows])


@dataclass(frozen=True)
class Touched:
    """The distinct table rows of a batch, their values as a leaf of the graph, and who reads which."""

    rows_U: NDArray[np.int64]
    value_UE: Tensor
    viewer_BW: Tensor
    candidate_NV: Tensor

    @staticmethod
    def whole(table_RE: Tensor, rows: Rows) -> "Touched":
        """Read the table where it lies: for scoring, which needs neither distinct rows nor gradients."""
        padding_alone = np.zeros(1, np.int64)
        return Touched(
            padding_alone, table_RE, torch.from_numpy(rows.viewer_BW), torch.from_numpy(rows.candidate_NV)
        )


class Looked(NamedTuple):
    """A batch's embeddings, looked up once for all that read them, and which of them stand for nothing."""

    viewer_BWE: Tensor
    candidate_NVE: Tensor
    is_padding_BW: Tensor
    is_padding_NV: Tensor

    @staticmethod
    def up(touched: Touched) -> "Looked":
        """Look up who reads which row."""
        padding = np.flatnonzero(touched.rows_U == 0)
        nothing = int(padding[0]) if len(padding) else -1
        return Looked(
            functional.embedding(touched.viewer_BW, touched.value_UE),
            functional.embedding(touched.candidate_NV, touched.value_UE),
            touched.viewer_BW == nothing,
            touched.candidate_NV == nothing,
        )

    def parts(self, widths: Sequence[int]) -> "list[Looked]":
        """Return the same of each part of the table's width."""
        sides = (torch.split(side, list(widths), 2) for side in (self.viewer_BWE, self.candidate_NVE))
        return [
            self._replace(viewer_BWE=viewer_BWE, candidate_NVE=candidate_NVE)
            for viewer_BWE, candidate_NVE in zip(*sides, strict=True)
        ]


class EmbeddingTable:
    """The shared table, with row-wise Adagrad on touched rows.

    Its width is in parts that learn by themselves: what a row has of the first part is the same with and
    without a second. Source: row-wise Adagrad, one accumulator a row, here of each part (Gupta et al. 2014;
    as in FBGEMM).
    """

    def __init__(
        self, num_rows: int, widths: Sequence[int], scale: float, rate: float, generator: torch.Generator
    ) -> None:
        parts = [torch.randn(num_rows, width, generator=generator) * scale for width in widths]
        self.weight = torch.cat(parts, 1)
        self.weight[0] = 0
        self.squares = torch.zeros(num_rows, len(widths))
        self._widths, self._rate = list(widths), rate
        self._place = np.zeros(num_rows, np.int64)

    def touch(self, rows: Rows) -> Touched:
        """Gather the rows that a batch reads; their gradient is found in `value_UE.grad`."""
        flat = np.concatenate([rows.viewer_BW.ravel(), rows.candidate_NV.ravel()])
        # Distinct rows without a sort: of equal entries the last one written stays.
        order = np.arange(len(flat))
        self._place[flat] = order
        rows_U = flat[self._place[flat] == order]
        self._place[rows_U] = np.arange(len(rows_U))
        inverse = torch.from_numpy(self._place[flat])
        value_UE = self.weight[torch.from_numpy(rows_U)].requires_grad_()
        size = rows.viewer_BW.size
        return Touched(
            rows_U,
            value_UE,
            inverse[:size].view(rows.viewer_BW.shape),
            inverse[size:].view(rows.candidate_NV.shape),
        )

    def step(self, touched: Touched) -> None:
        """Move the touched rows against their gradient."""
        gradient_UE = touched.value_UE.grad
        if gradient_UE is None:
            return
        rows_U = torch.from_numpy(touched.rows_U)
        gradients = torch.split(gradient_UE, self._widths, 1)
        squares_UP = self.squares[rows_U] + torch.stack([part.square().mean(1) for part in gradients], 1)
        self.squares[rows_U] = squares_UP
        step_UP = self._rate / (squares_UP.sqrt() + 1e-10)
        moves = [
            part * step_U.unsqueeze(1) for part, step_U in zip(gradients, step_UP.unbind(1), strict=True)
        ]
        self.weight[rows_U] = touched.value_UE.detach() - torch.cat(moves, 1)
        self.weight[0] = 0  # padding stays nothing


class FeaturePooling(nn.Module):
    """Turns table rows into x: single ids as they are, lists averaged, histories by attention.

    A history is attended to by the candidate's own embedding (scaled dot product, a learned query
    map and a learned bias per recency), so the same past weighs differently for each candidate.
    `brings_past` adds the first history that is declared, entry by entry.
    """

    def __init__(self, layout: Layout, dim: int, brings_past: bool = False) -> None:
        super().__init__()
        self._brings_past = brings_past
        self._dim = dim
        self._viewer_lists = [s for s in layout.viewer if isinstance(s.feature, Multi)]
        self._candidate_lists = [s for s in layout.candidate if isinstance(s.feature, Multi)]
        self._num_single = [
            sum(not isinstance(s.feature, Multi | History) for s in side)
            for side in (layout.viewer, layout.candidate)
        ]
        starts = {s.feature.name: s.start for s in layout.candidate}
        self._histories = [(s, starts[s.feature.of]) for s in layout.viewer if isinstance(s.feature, History)]
        self.queries = nn.ParameterList([torch.eye(dim) for _ in self._histories])
        self.recency = nn.ParameterList([torch.zeros(s.stop - s.start) for s, _ in self._histories])
        self.widths: tuple[int, ...] = (dim,)
        self.viewer_dim = dim * (self._num_single[0] + len(self._viewer_lists))
        self.candidate_dim = dim * (self._num_single[1] + len(self._candidate_lists) + len(self._histories))

    def forward(self, touched: Touched, request_N: Tensor) -> Inputs:
        """Return x for rows whose requests stand in order."""
        return self.pool(Looked.up(touched), request_N)

    def pool(self, looked: Looked, request_N: Tensor) -> Inputs:
        """Return x of what was looked up."""
        viewer_BWE, candidate_NVE, is_padding_BW, is_padding_NV = looked
        viewer = [viewer_BWE[:, : self._num_single[0]].flatten(1)]
        viewer += [_mean(viewer_BWE, is_padding_BW, s.start, s.stop) for s in self._viewer_lists]
        candidate = [candidate_NVE[:, : self._num_single[1]].flatten(1)]
        candidate += [_mean(candidate_NVE, is_padding_NV, s.start, s.stop) for s in self._candidate_lists]
        grid = Grid.of(request_N, len(viewer_BWE)) if self._histories else None
        for (slot, target), query, recency in zip(self._histories, self.queries, self.recency, strict=True):
            assert grid is not None
            keys_BLE = viewer_BWE[:, slot.start : slot.stop]
            candidate.append(
                self._attend(
                    candidate_NVE[:, target] @ query,
                    keys_BLE,
                    is_padding_BW[:, slot.start : slot.stop],
                    recency,
                    grid,
                )
            )
        past = None
        if self._brings_past:
            slot, target = self._histories[0]
            place = slice(slot.start, slot.stop)
            past = Past(viewer_BWE[:, place], is_padding_BW[:, place], candidate_NVE[:, target])
        return Inputs(torch.cat(viewer, 1), torch.cat(candidate, 1), request_N, past)

    def _attend(
        self, query_NE: Tensor, keys_BLE: Tensor, is_padding_BL: Tensor, recency_L: Tensor, grid: "Grid"
    ) -> Tensor:
        logits_BCL = grid.spread(query_NE) @ keys_BLE.transpose(1, 2) * self._dim**-0.5 + recency_L
        logits_BCL = logits_BCL.masked_fill(is_padding_BL.unsqueeze(1), -1e9)
        # Of an empty history every entry is padding, whose embedding is zero: the pool is zero too.
        return grid.gather(logits_BCL.softmax(2) @ keys_BLE)


class TwinPooling(nn.Module):
    """Pools two parts of a table's width, each by itself: x of the first, and x of the second `beside` it."""

    def __init__(self, layout: Layout, dim: int, beside_dim: int) -> None:
        super().__init__()
        self.first, self.beside = FeaturePooling(layout, dim), FeaturePooling(layout, beside_dim)
        self.widths = (dim, beside_dim)
        self.viewer_dim, self.candidate_dim = self.first.viewer_dim, self.first.candidate_dim

    def forward(self, touched: Touched, request_N: Tensor) -> Inputs:
        """Return x for rows whose requests stand in order."""
        first, beside = Looked.up(touched).parts(self.widths)
        return self.first.pool(first, request_N)._replace(beside=self.beside.pool(beside, request_N))


Pooling = FeaturePooling | TwinPooling


@dataclass(frozen=True)
class Grid:
    """Rows of ragged requests laid out as B x C, C the largest request."""

    place_N: Tensor | None
    num_requests: int
    width: int

    @staticmethod
    def of(request_N: Tensor, num_requests: int) -> "Grid":
        """Lay out rows whose requests stand in order."""
        sizes_B = torch.bincount(request_N, minlength=num_requests)
        width = int(sizes_B.max()) if len(request_N) else 1
        if width * num_requests == len(request_N):
            return Grid(None, num_requests, width)
        start_B = sizes_B.cumsum(0) - sizes_B
        position_N = torch.arange(len(request_N)) - start_B[request_N]
        return Grid(request_N * width + position_N, num_requests, width)

    def spread(self, x_N: Tensor, fill: float = 0.0) -> Tensor:
        """Return x as (B, C, ...), `fill` where a request has fewer than C rows."""
        shape = (self.num_requests, self.width, *x_N.shape[1:])
        if self.place_N is None:
            return x_N.view(shape)
        flat = x_N.new_full((self.num_requests * self.width, *x_N.shape[1:]), fill)
        return flat.index_copy(0, self.place_N, x_N).view(shape)

    def gather(self, x_BC: Tensor) -> Tensor:
        """Return the rows that `spread` placed."""
        flat = x_BC.flatten(0, 1)
        return flat if self.place_N is None else flat.index_select(0, self.place_N)


def _mean(embedded_RWE: Tensor, is_padding_RW: Tensor, start: int, stop: int) -> Tensor:
    count_R = (~is_padding_RW[:, start:stop]).sum(1, keepdim=True).clamp(min=1)
    return embedded_RWE[:, start:stop].sum(1) / count_R
