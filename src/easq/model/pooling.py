"""From embedding rows to the inputs of a model: features of viewer and candidate side by side.

Shapes: B requests, N rows, V and C widths of viewer and candidate, L entries of a history, E embedding,
X and Y numbers of the dense features of viewer and candidate.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from easq.features.layout import Layout
from easq.model.dense_features import DenseEmbeddings
from easq.model.embedding import TablePart, Touched
from easq.model.grid import Grid
from easq.recipe.features import History, Multi


class Past(NamedTuple):
    """The viewer's history by entry, newest first, and each candidate's embedding in the same space."""

    entry_BLE: Tensor
    is_padding_BL: Tensor
    target_NE: Tensor


class Inputs(NamedTuple):
    """Concatenated feature embeddings x, the viewer's half once per request.

    `past` is set for a method that reads the history itself, `beside` for one with a second set of
    embeddings: the same features in those, `sum_NF` for one with first-order weights: their sum over the
    row's values, `score_NS` for one that may serve another ranker's score. `detach`, `select` and `first`
    leave all four out.
    """

    viewer_BV: Tensor
    candidate_NC: Tensor
    request_N: Tensor
    past: Past | None = None
    beside: "Inputs | None" = None
    sum_NF: Tensor | None = None
    score_NS: Tensor | None = None

    def detach(self) -> "Inputs":
        """Return sg(x)."""
        return Inputs(self.viewer_BV.detach(), self.candidate_NC.detach(), self.request_N)

    def select(self, row_A: Tensor) -> "Inputs":
        """Return the inputs of some rows, each a request of its own."""
        viewer_AV = self.viewer_BV.index_select(0, self.request_N[row_A])
        return Inputs(viewer_AV, self.candidate_NC.index_select(0, row_A), torch.arange(row_A.shape[0]))

    def first(self, num_rows: int) -> "Inputs":
        """Return the inputs of the first rows."""
        return Inputs(self.viewer_BV, self.candidate_NC[:num_rows], self.request_N[:num_rows])


class Lookup(NamedTuple):
    """A batch's embeddings, looked up once for all readers, and which positions are padding.

    `dense` are the dense features of viewers (B x X) and candidates (N x Y), if the layout has any.
    """

    viewer_BWE: Tensor
    candidate_NVE: Tensor
    is_padding_BW: Tensor
    is_padding_NV: Tensor
    dense: tuple[Tensor, Tensor] | None

    @staticmethod
    def of(touched: Touched) -> "Lookup":
        """Return the embeddings of the touched rows at the places that read them."""
        padding = np.flatnonzero(touched.rows_U == 0)
        nothing = int(padding[0]) if len(padding) else -1
        return Lookup(
            functional.embedding(touched.viewer_BW, touched.value_UE),
            functional.embedding(touched.candidate_NV, touched.value_UE),
            touched.viewer_BW == nothing,
            touched.candidate_NV == nothing,
            touched.dense,
        )

    def embedded(self, touched: Touched, value_UE: Tensor) -> "Lookup":
        """Return other embeddings of the same touched rows."""
        return self._replace(
            viewer_BWE=functional.embedding(touched.viewer_BW, value_UE),
            candidate_NVE=functional.embedding(touched.candidate_NV, value_UE),
        )

    def split(self, parts: Sequence[TablePart]) -> "list[Lookup]":
        """Return one lookup for each part of the table's width."""
        widths = [part.width for part in parts]
        sides = (torch.split(side, widths, 2) for side in (self.viewer_BWE, self.candidate_NVE))
        return [
            self._replace(viewer_BWE=viewer_BWE, candidate_NVE=candidate_NVE)
            for viewer_BWE, candidate_NVE in zip(*sides, strict=True)
        ]


class FeaturePooling(nn.Module):
    """Turns table rows into x: single ids unchanged, lists averaged, histories by attention.

    Dense features join them as embeddings of the same width.

    Each candidate's own embedding attends to the history (scaled dot product, a learned query map and a
    learned bias per recency), so the same past weighs differently for each candidate. With `averages_past`
    histories are averaged instead, as part of the viewer. With `brings_past` the inputs also hold the first
    declared history, entry by entry.
    """

    def __init__(
        self, layout: Layout, dim: int, *, averages_past: bool = False, brings_past: bool = False
    ) -> None:
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
        histories = [(s, starts[s.feature.of]) for s in layout.viewer if isinstance(s.feature, History)]
        self._averaged = [s for s, _ in histories] if averages_past else []
        self._histories = [] if averages_past else histories
        self.queries = nn.ParameterList([torch.eye(dim) for _ in self._histories])
        self.recency = nn.ParameterList([torch.zeros(s.stop - s.start) for s, _ in self._histories])
        self.dense = DenseEmbeddings(layout, dim)
        self.parts: tuple[TablePart, ...] = (TablePart(dim),)
        viewer = len(self._viewer_lists) + len(self._averaged) + len(layout.viewer_dense)
        candidate = len(self._candidate_lists) + len(self._histories) + len(layout.candidate_dense)
        self.viewer_dim = dim * (self._num_single[0] + viewer)
        self.candidate_dim = dim * (self._num_single[1] + candidate)

    def forward(self, touched: Touched, request_N: Tensor) -> Inputs:
        """Return x for rows whose requests stand in order."""
        return self.pool(Lookup.of(touched), request_N)

    def pool(self, lookup: Lookup, request_N: Tensor) -> Inputs:
        """Return x from embeddings that are already looked up."""
        viewer_BWE, candidate_NVE, is_padding_BW, is_padding_NV, dense = lookup
        viewer = [viewer_BWE[:, : self._num_single[0]].flatten(1)]
        viewer += [
            _mean(viewer_BWE, is_padding_BW, s.start, s.stop) for s in (*self._viewer_lists, *self._averaged)
        ]
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
        dense_viewer, dense_candidate = self.dense(dense)
        viewer += dense_viewer
        candidate += dense_candidate
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
        # In an empty history every entry is padding, whose embedding is zero, so the result is zero too.
        return grid.gather(logits_BCL.softmax(2) @ keys_BLE)


class TwinPooling(nn.Module):
    """Pools two parts of a table's width separately: x of the first, and x of the second `beside` it."""

    def __init__(self, layout: Layout, dim: int, beside_dim: int) -> None:
        super().__init__()
        self.first, self.beside = FeaturePooling(layout, dim), FeaturePooling(layout, beside_dim)
        self.parts = (TablePart(dim), TablePart(beside_dim))
        self.viewer_dim, self.candidate_dim = self.first.viewer_dim, self.first.candidate_dim

    def forward(self, touched: Touched, request_N: Tensor) -> Inputs:
        """Return x for rows whose requests stand in order."""
        first, beside = Lookup.of(touched).split(self.parts)
        return self.first.pool(first, request_N)._replace(beside=self.beside.pool(beside, request_N))


class SummedPooling(nn.Module):
    """Pools embeddings, histories averaged, and sums first-order weights: x and its `sum_NF`.

    The first-order weights of a row are those of all its values, single ones and those in lists and
    histories. A value weighs otherwise in a history than as itself, so with a history every column stands
    twice.

    own_columns   columns of the table with the last first-order weight: of values, and of values in a
                  history. What crosses weigh is added to its sum.
    is_past_W     which of the viewer's places belong to histories.

    With `beside` there is a second set of embeddings, in the last columns: the inputs also hold x of those,
    histories by attention.
    """

    def __init__(
        self,
        layout: Layout,
        embeddings: TablePart,
        first_order: Sequence[TablePart],
        beside: TablePart | None = None,
    ) -> None:
        super().__init__()
        self.first = FeaturePooling(layout, embeddings.width, averages_past=True)
        self.viewer_dim, self.candidate_dim = self.first.viewer_dim, self.first.candidate_dim
        self.is_past_W = np.zeros(layout.viewer[-1].stop if layout.viewer else 0, np.bool_)
        for slot in layout.viewer:
            self.is_past_W[slot.start : slot.stop] = isinstance(slot.feature, History)
        times = 2 if self.is_past_W.any() else 1
        self.beside = None if beside is None else FeaturePooling(layout, beside.width)
        behind = () if beside is None else (beside,)
        self.parts = (embeddings, *(part for _ in range(times) for part in first_order), *behind)
        self._num = sum(part.width for part in first_order)
        self._beside_dim = sum(part.width for part in behind)
        self.own_columns = [embeddings.width + self._num * time - 1 for time in range(1, times + 1)]
        self._now, self._past = (np.flatnonzero(is_W).tolist() for is_W in (~self.is_past_W, self.is_past_W))

    def forward(self, touched: Touched, request_N: Tensor) -> Inputs:
        """Return x for rows whose requests stand in order."""
        dim, num = self.parts[0].width, self._num
        past = touched.value_UE.shape[1] - dim - num - self._beside_dim
        widths = [dim, num, past, self._beside_dim]
        embedding_UE, now_UF, past_UF, beside_UE = torch.split(touched.value_UE, widths, 1)
        viewer_BF = _sum(touched.viewer_BW[:, self._now], now_UF)
        if self._past:
            viewer_BF = viewer_BF + _sum(touched.viewer_BW[:, self._past], past_UF)
        sum_NF = viewer_BF.index_select(0, request_N) + _sum(touched.candidate_NV, now_UF)
        if touched.cross_N is not None:
            own_N = sum_NF[:, -1] + touched.cross_N
            sum_NF = torch.cat([sum_NF[:, :-1], own_N.unsqueeze(1)], 1)
        lookup, beside = Lookup.of(replace(touched, value_UE=embedding_UE)), None
        if self.beside is not None:
            beside = self.beside.pool(lookup.embedded(touched, beside_UE), request_N)
        x = self.first.pool(lookup, request_N)
        return x._replace(sum_NF=sum_NF, beside=beside, score_NS=touched.score_NS)


Pooling = FeaturePooling | TwinPooling | SummedPooling


def _sum(place_RW: Tensor, weight_UF: Tensor) -> Tensor:
    return functional.embedding(place_RW, weight_UF).sum(1)


def _mean(embedded_RWE: Tensor, is_padding_RW: Tensor, start: int, stop: int) -> Tensor:
    count_R = (~is_padding_RW[:, start:stop]).sum(1, keepdim=True).clamp(min=1)
    return embedded_RWE[:, start:stop].sum(1) / count_R
