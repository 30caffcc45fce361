"""Hashed embeddings: one table for all features, of which a step reads and trains only the touched rows.

Shapes: B requests, N rows, U touched table rows, E embedding width, L list length, W and V places of viewer
and candidate, P parts by row-wise AdaGrad, F columns by FTRL-proximal, V and C concatenated features of
viewer and candidate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from easq.arrays import I64
from easq.features.encode import Rows
from easq.model.crosses import CrossTable


@dataclass(frozen=True)
class Touched:
    """The distinct table rows of a batch, their values as a leaf of the graph, and where each is read.

    `score_NS` are the scores that come with the rows, `cross_N` the sums of their crosses, `dense` the dense
    features of viewers and candidates, if there are any.
    """

    rows_U: I64
    value_UE: Tensor
    viewer_BW: Tensor
    candidate_NV: Tensor
    score_NS: Tensor
    cross_N: Tensor | None = None
    dense: tuple[Tensor, Tensor] | None = None

    @staticmethod
    def whole(table_RE: Tensor, rows: Rows, crosses: CrossTable | None) -> "Touched":
        """Read the table in place: for scoring, which needs neither distinct rows nor gradients."""
        padding_alone = np.zeros(1, np.int64)
        places = torch.from_numpy(rows.viewer_BW), torch.from_numpy(rows.candidate_NV)
        cross_N = None if crosses is None else crosses.sums(rows)
        scores = torch.from_numpy(rows.score_NS)
        return Touched(padding_alone, table_RE, *places, scores, cross_N, _dense(rows))


_BETA = 1.0
"""Of FTRL-proximal, as its paper has it."""


class TablePart(NamedTuple):
    """Columns of the table that learn by a rule of their own, independently of the others.

    adagrad   row-wise AdaGrad: one accumulator for each row (Gupta et al. 2014; as in FBGEMM). Starts random.
    ftrl      FTRL-proximal with one update a step and value (McMahan et al. 2013): n += g^2,
              z += g - (sqrt(n) - sqrt(n before)) / rate * w, w = -rate * z / (1 + sqrt(n)). Starts at zero,
              and a value's first step is at most the rate, whatever the gradient's size.
    set       no gradient moves it; the learner sets it. Starts at zero.
    """

    width: int
    rule: Literal["adagrad", "ftrl", "set"] = "adagrad"
    rate: float | None = None
    """None: the recipe's training.embedding_rate."""
    floor: float = 0.0
    """Of row-wise AdaGrad, in gradients of one row: smaller ones move a value in proportion."""


class EmbeddingTable:
    """The shared table, whose touched rows learn by the rules of its parts.

    A part's first values do not depend on the parts behind it. Beside it there may be a table of crosses.
    """

    def __init__(
        self,
        num_rows: int,
        parts: Sequence[TablePart],
        scale: float,
        rate: float,
        generator: torch.Generator,
        crosses: CrossTable | None = None,
    ) -> None:
        self.crosses = crosses
        values = [
            torch.randn(num_rows, part.width, generator=generator) * scale
            if part.rule == "adagrad"
            else torch.zeros(num_rows, part.width)
            for part in parts
        ]
        self.weight = torch.cat(values, 1)
        self.weight[0] = 0
        self._parts = [part._replace(rate=rate if part.rate is None else part.rate) for part in parts]
        self.squares = torch.zeros(num_rows, sum(part.rule == "adagrad" for part in parts))
        summed = sum(part.width for part in parts if part.rule == "ftrl")
        self.ftrl_z, self.ftrl_n = torch.zeros(num_rows, summed), torch.zeros(num_rows, summed)
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
            torch.from_numpy(rows.score_NS),
            None if self.crosses is None else self.crosses.sums(rows),
            _dense(rows),
        )

    def step(self, touched: Touched, num_rows: int) -> None:
        """Update the touched rows by their gradient: of losses that are means over `num_rows` rows."""
        gradient_UE = touched.value_UE.grad
        if gradient_UE is None:
            return
        rows_U = torch.from_numpy(touched.rows_U)
        widths = [part.width for part in self._parts]
        squares_UP, z_UF, n_UF = self.squares[rows_U], self.ftrl_z[rows_U], self.ftrl_n[rows_U]
        values, p, f = [], 0, 0
        for part, old_UE, gradient in zip(
            self._parts,
            torch.split(touched.value_UE.detach(), widths, 1),
            torch.split(gradient_UE, widths, 1),
            strict=True,
        ):
            assert part.rate is not None
            if part.rule == "adagrad":
                square_U = squares_UP[:, p].add_(gradient.square().mean(1))
                step_U = part.rate / (square_U.sqrt() + 1e-10 + part.floor / num_rows)
                values.append(old_UE - gradient * step_U.unsqueeze(1))
                p += 1
            elif part.rule == "set":
                values.append(old_UE)
            else:
                z, n = z_UF[:, f : f + part.width], n_UF[:, f : f + part.width]
                before = n.sqrt()
                after = n.add_(gradient.square()).sqrt()
                z.add_(gradient - (after - before) / part.rate * old_UE)
                values.append(-part.rate * z / (_BETA + after))
                f += part.width
        self.squares[rows_U] = squares_UP
        if f:
            self.ftrl_z[rows_U], self.ftrl_n[rows_U] = z_UF, n_UF
        self.weight[rows_U] = torch.cat(values, 1)
        self.weight[0] = 0  # padding stays zero

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return weights and accumulators, without copying them."""
        state: dict[str, NDArray[np.generic]] = {"weight": self.weight.numpy()}
        if self.squares.shape[1]:
            # A table of one part has a flat column, as when tables had no parts.
            state["squares"] = self.squares.squeeze(1).numpy()
        if self.ftrl_z.shape[1]:
            state |= {"ftrl_z": self.ftrl_z.numpy(), "ftrl_n": self.ftrl_n.numpy()}
        if self.crosses is not None:
            state["crosses"] = self.crosses.weight.numpy()
        return state

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        arrays = {name: torch.from_numpy(value.copy()) for name, value in state.items()}
        self.weight = arrays["weight"]
        if self.squares.shape[1]:
            self.squares = arrays["squares"].view(len(self.weight), -1)
        if self.ftrl_z.shape[1]:
            self.ftrl_z, self.ftrl_n = arrays["ftrl_z"], arrays["ftrl_n"]
        if self.crosses is not None:
            self.crosses.weight = arrays["crosses"]


def _dense(rows: Rows) -> tuple[Tensor, Tensor] | None:
    if rows.dense is None:
        return None
    return torch.from_numpy(rows.dense.viewer_BX), torch.from_numpy(rows.dense.candidate_NY)
