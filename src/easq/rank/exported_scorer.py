"""The scorer of one request as a module of its own: plain arrays in, scores out, nothing else read.

Shapes: N candidates, W and V columns of viewer and candidate, S scores of the layout, X and Y numbers of the
dense features of viewer and candidate, R table rows, E width.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from easq.features.encode import DenseRows, Rows
from easq.features.layout import Layout
from easq.model.crosses import CrossTable
from easq.model.embedding import Touched
from easq.model.pooling import Pooling
from easq.model.serving import RankingNetwork, Unmerged

INPUTS = ("viewer", "candidates", "scores", "viewer_dense", "candidates_dense")
"""The table rows that the viewer and each candidate read, the scores that are no row of the table, and the
numbers of dense features."""

OF_VIEWER = ("viewer", "viewer_dense")
"""Inputs with one row, whatever the number of candidates."""

OUTPUTS = ("score", "base_score", "satisfaction")
"""What a live ranking sorts by, what behavior trains of it, and the estimate of satisfaction."""


class ExportedScorer(nn.Module):
    """Scores the candidates of one request, with a copy of everything that a version of the parameters holds.

    Inputs are int64 (1, W) and (N, V), float32 (N, S) if the recipe has features of kind "score", and float32
    (1, X) and (N, Y) where a side has dense features; outputs are float32 (N,). `inputs` and `outputs` name
    them. A method without an estimate has no such output.
    """

    def __init__(
        self,
        layout: Layout,
        pooling: Pooling,
        network: RankingNetwork,
        table_RE: Tensor,
        crosses: CrossTable | None,
    ) -> None:
        super().__init__()
        self._pooling, self._network = copy.deepcopy(pooling), copy.deepcopy(network)
        served = self._network.merged()
        self._served = None if isinstance(served, Unmerged) else served
        self._crosses = copy.deepcopy(crosses)
        self.register_buffer("table_RE", table_RE.clone())
        self.table_RE: Tensor
        self.widths = tuple(side[-1].stop if side else 0 for side in (layout.viewer, layout.candidate))
        self.num_scores, self.dense_widths = len(layout.scores), layout.dense_widths
        sizes = (1, 1, self.num_scores, *self.dense_widths)
        self.inputs = tuple(name for name, size in zip(INPUTS, sizes, strict=True) if size)
        self.requires_grad_(False).eval()
        with torch.no_grad():
            self.outputs = OUTPUTS[: len(self(*self.arrays(self.drawn(2))))]

    def drawn(self, num_candidates: int, seed: int = 0) -> Rows:
        """Return a request of rows, scores and dense features drawn at random, a tenth of them unknown."""
        random = np.random.default_rng(seed)
        shapes = (1, self.widths[0]), (num_candidates, self.widths[1])
        viewer_1W, candidate_NV = (random.integers(0, len(self.table_RE), shape) for shape in shapes)
        score_NS = random.random((num_candidates, self.num_scores), np.float32)
        score_NS[random.random(score_NS.shape) < 0.1] = np.nan
        dense = None
        if any(self.dense_widths):
            sides = zip((1, num_candidates), self.dense_widths, strict=True)
            dense = DenseRows(*(random.standard_normal(shape, np.float32) for shape in sides))
            for value_RX in dense:
                value_RX[random.random(len(value_RX)) < 0.1] = np.nan
        return Rows(viewer_1W, candidate_NV, np.zeros(num_candidates, np.int64), score_NS, dense)

    def arrays(self, rows: Rows) -> tuple[Tensor, ...]:
        """Return the inputs of one request."""
        dense = rows.dense or (None, None)
        arrays = (rows.viewer_BW, rows.candidate_NV, rows.score_NS, *dense)
        named = zip(INPUTS, arrays, strict=True)
        return tuple(torch.from_numpy(a) for name, a in named if a is not None and name in self.inputs)

    def forward(self, viewer_1W: Tensor, candidate_NV: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs for each candidate. `others` are the inputs after the first two."""
        # `len` of a tensor is a constant in an exported program, a size of its shape is not.
        num_candidates = candidate_NV.shape[0]
        request_N = candidate_NV.new_zeros(num_candidates)
        given = dict(zip(self.inputs[2:], others, strict=True))
        score_NS = given.get("scores", self.table_RE.new_zeros(num_candidates, 0))
        dense = None
        if any(self.dense_widths):
            dense = (
                given.get("viewer_dense", self.table_RE.new_zeros(1, 0)),
                given.get("candidates_dense", self.table_RE.new_zeros(num_candidates, 0)),
            )
        cross_N = self._cross_sums(viewer_1W, request_N, candidate_NV)
        padding_alone = np.zeros(1, np.int64)
        touched = Touched(padding_alone, self.table_RE, viewer_1W, candidate_NV, score_NS, cross_N, dense)
        x = self._pooling(touched, request_N)
        scores = self._network(x, torch.arange(num_candidates))
        served_N = scores.served_N if self._served is None else self._served(x)
        base_N = scores.served_N if scores.behavior_N is None else scores.behavior_N
        return (served_N, base_N, *([] if scores.satisfaction_A is None else [scores.satisfaction_A]))

    def _cross_sums(self, viewer_1W: Tensor, request_N: Tensor, candidate_NV: Tensor) -> Tensor | None:
        """Return what `CrossTable.sums` returns, as ONNX does it best: its Gather copies slice by slice."""
        if self._crosses is None:
            return None
        if not self._crosses.per_row:  # a side without features: ONNX cannot gather nothing
            return self.table_RE.new_zeros(candidate_NV.shape[0])
        place = self._crosses.places(viewer_1W, request_N, candidate_NV)
        return torch.gather(self._crosses.weight, 0, place.view(-1).long()).view(place.shape).sum(1)
