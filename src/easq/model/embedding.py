"""Hashed embeddings: one table for all features, read and trained by its touched rows only.

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
    """The distinct table rows of a batch, their values as a leaf of the graph, and who reads which."""

    rows_U: I64
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
