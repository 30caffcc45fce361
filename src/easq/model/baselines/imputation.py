"""Imputation network (Christakopoulou et al. 2022): predict the answer that was not asked for.

Shapes: N rows, A answered rows, K behaviours, D hidden.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from easq.model.embedding import Inputs
from easq.model.lora import Projection
from easq.model.moe import RELU, Routing, Tower
from easq.model.scores import Scores, Unmerged


class Imputer(nn.Module):
    """Predicts what would be answered: a logit, 0 for the worst option and 1 for the best.

    With `num_behaviors` it is privileged: it sees what was done after the view, which serving cannot.
    """

    def __init__(
        self, viewer_dim: int, candidate_dim: int, hidden: int, width: int, num_behaviors: int = 0
    ) -> None:
        super().__init__()
        self.backbone = Projection(viewer_dim, candidate_dim, hidden)
        self.behaviors = nn.Linear(num_behaviors, hidden, bias=False) if num_behaviors else None
        self.bias_D = nn.Parameter(torch.zeros(hidden))
        self.layers = nn.Sequential(nn.Linear(hidden, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x: Inputs, shown_NK: Tensor | None = None) -> Tensor:
        """Return a logit per row; `shown_NK` is given exactly where the imputer is privileged."""
        h_ND = self.backbone(x) + self.bias_D
        if self.behaviors is not None:
            h_ND = h_ND + self.behaviors(shown_NK)
        logit_N: Tensor = self.layers(functional.relu(h_ND)).squeeze(1)
        return logit_N


class Imputation(nn.Module):
    """The behaviour-only model, which serves, and an imputer beside it on the same embeddings."""

    def __init__(
        self,
        viewer_dim: int,
        candidate_dim: int,
        hidden: int,
        expert_width: int,
        num_experts: int,
        head_width: int,
        eps: float,
        num_behaviors: int = 0,
        routing: Routing = RELU,
    ) -> None:
        super().__init__()
        self.backbone = Projection(viewer_dim, candidate_dim, hidden)
        self.main = Tower(hidden, expert_width, num_experts, head_width, eps, routing)
        self.imputer = Imputer(viewer_dim, candidate_dim, hidden, expert_width, num_behaviors)
        self.is_privileged = num_behaviors > 0

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows, and of the rows that `answered_A` names what would be answered.

        A privileged imputer has nothing to say here: what was done is not known with every row.
        """
        served_N, gate_NK = self.main(self.backbone(x))
        imputed_A = None
        if answered_A is not None and not self.is_privileged:
            imputed_A = self.imputer(x.select(answered_A))
        return Scores(served_N, imputed_A, gate_NK, None)

    def merged(self) -> Unmerged:
        """Return the serving form."""
        return Unmerged(self)
