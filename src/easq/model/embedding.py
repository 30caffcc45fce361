"""Hashed embeddings: one table for all features, of which a step reads and trains only the touched rows.

Shapes: B requests, N rows, U touched table rows, E embedding width, L list length, W and V places of viewer
and candidate, P parts of the table's width, V and C concatenated features of viewer and candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from easq.arrays import I64
from easq.features.encode import Rows


@dataclass(frozen=True)
class Touched:
    """The distinct table rows of a batch, their values as a leaf of the graph, and where each is read."""

    rows_U: I64
    value_UE: Tensor
    viewer_BW: Tensor
    candidate_NV: Tensor

    @staticmethod
    def whole(table_RE: Tensor, rows: Rows) -> "Touched":
        """Read the table in place: for scoring, which needs neither distinct rows nor gradients."""
        padding_alone = np.zeros(1, np.int64)
        return Touched(
            padding_alone, table_RE, torch.from_numpy(rows.viewer_BW), torch.from_numpy(rows.candidate_NV)
        )


class EmbeddingTable:
    """The shared table, with row-wise Adagrad on touched rows.

    Its width is split into parts that learn independently: the first part of a row is the same with and
    without a second part. Source: row-wise Adagrad, with one accumulator for each row and part (Gupta et al.
    2014; as in FBGEMM).
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
        """Gather the rows that a batch reads; their gradient accumulates in `value_UE.grad`."""
        flat = np.concatenate([rows.viewer_BW.ravel(), rows.candidate_NV.ravel()])
        # Distinct rows without sorting: among equal entries the last write remains.
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
        """Update the touched rows by their gradient."""
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
        self.weight[0] = 0  # padding stays zero
