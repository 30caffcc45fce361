"""The scorer of one request as a module of its own: plain arrays in, scores out, nothing else read.

Shapes: N candidates, W and V columns of viewer and candidate, S scores of the layout, R table rows, E width.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from easq.features.encode import Rows
from easq.features.layout import Layout
from easq.model.crosses import CrossTable
from easq.model.embedding import Touched
from easq.model.pooling import Pooling
from easq.model.serving import RankingNetwork, Unmerged

INPUTS = ("viewer", "candidates", "scores")
"""The table rows that the viewer and each candidate read, and the scores that are no row of the table."""

OUTPUTS = ("score", "base_score", "satisfaction")
"""What a live ranking sorts by, what behavior trains of it, and the estimate of satisfaction."""


class ExportedScorer(nn.Module):
    """Scores the candidates of one request, with a copy of everything that a version of the parameters holds.

    Inputs are int64 (1, W) and (N, V), and float32 (N, S) if the recipe has features of kind "score"; outputs
    are float32 (N,). `inputs` and `outputs` name them. A method without an estimate has no such output.
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
        self.num_scores = len(layout.scores)
        self.inputs = INPUTS if self.num_scores else INPUTS[:2]
        self.requires_grad_(False).eval()
        with torch.no_grad():
            self.outputs = OUTPUTS[: len(self(*self.arrays(self.drawn(2))))]

    def drawn(self, num_candidates: int, seed: int = 0) -> Rows:
        """Return a request of rows and scores drawn at random; a tenth of the scores is unknown."""
        random = np.random.default_rng(seed)
        shapes = (1, self.widths[0]), (num_candidates, self.widths[1])
        viewer_1W, candidate_NV = (random.integers(0, len(self.table_RE), shape) for shape in shapes)
        score_NS = random.random((num_candidates, self.num_scores), np.float32)
        score_NS[random.random(score_NS.shape) < 0.1] = np.nan
        return Rows(viewer_1W, candidate_NV, np.zeros(num_candidates, np.int64), score_NS)

    def arrays(self, rows: Rows) -> tuple[Tensor, ...]:
        """Return the inputs of one request."""
        arrays = (rows.viewer_BW, rows.candidate_NV, rows.score_NS)[: len(self.inputs)]
        return tuple(torch.from_numpy(array) for array in arrays)

    def forward(
        self, viewer_1W: Tensor, candidate_NV: Tensor, score_NS: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Return the outputs for each candidate."""
        # `len` of a tensor is a constant in an exported program, a size of its shape is not.
        num_candidates = candidate_NV.shape[0]
        request_N = candidate_NV.new_zeros(num_candidates)
        if score_NS is None:
            score_NS = self.table_RE.new_zeros(num_candidates, 0)
        cross_N = self._cross_sums(viewer_1W, request_N, candidate_NV)
        padding_alone = np.zeros(1, np.int64)
        touched = Touched(padding_alone, self.table_RE, viewer_1W, candidate_NV, score_NS, cross_N)
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
