"""Low-rank pathway for sparse answers (EASQ: LoRA pre-injection).

Shapes: B requests, N rows, V and C input features of viewer and candidate, F = V + C, D hidden, R rank.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from easq.model.pooling import Inputs


class Projection(nn.Module):
    """A bias-free linear map of [viewer, candidate], the viewer's half computed once per request."""

    def __init__(self, viewer_dim: int, candidate_dim: int, out_dim: int) -> None:
        super().__init__()
        self.viewer_dim = viewer_dim
        self.weight = nn.Parameter(torch.empty(out_dim, viewer_dim + candidate_dim))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, x: Inputs) -> Tensor:
        """Return h_ND."""
        return project(self.weight, x, self.viewer_dim)


def project(weight_DF: Tensor, x: Inputs, viewer_dim: int) -> Tensor:
    """Return W x as (W_viewer x_viewer)[request] + W_candidate x_candidate."""
    viewer_BD = functional.linear(x.viewer_BV, weight_DF[:, :viewer_dim])
    return viewer_BD.index_select(0, x.request_N) + functional.linear(
        x.candidate_NC, weight_DF[:, viewer_dim:]
    )


class LowRankPath(nn.Module):
    """The increment B A x, which only questionnaire answers train.

    Starts at zero, so a new path leaves the backbone's function unchanged.
    Source: Hu et al. 2021 (initialization); EASQ, docs/method.md section 3 (no alpha scaling).
    """

    def __init__(
        self,
        viewer_dim: int,
        candidate_dim: int,
        out_dim: int,
        rank: int,
        init: Literal["kaiming", "normal"] = "kaiming",
    ) -> None:
        super().__init__()
        in_dim = viewer_dim + candidate_dim
        if not 0 < rank < min(in_dim, out_dim):
            raise ValueError(f"rank must lie between 1 and {min(in_dim, out_dim) - 1}, got {rank}")
        self.down = Projection(viewer_dim, candidate_dim, rank)
        self.up = nn.Linear(rank, out_dim, bias=False)
        nn.init.zeros_(self.up.weight)
        if init == "normal":
            nn.init.normal_(self.down.weight, std=in_dim**-0.5)

    def forward(self, x: Inputs) -> Tensor:
        """Return the increment, h_lora_ND."""
        increment: Tensor = self.up(self.down(x))
        return increment

    def product(self) -> Tensor:
        """Return B A, to be merged into the backbone's weight."""
        return self.up.weight @ self.down.weight
