"""EMER (He et al. 2025): one Transformer over a request's candidates, fed with predicted behaviours.

Shapes: B requests, C candidates of the largest, N rows, A answered rows, K behaviours, D hidden.
"""

import copy

import torch
from torch import Tensor, nn

from easq.model.attention import CandidateTransformer, normalised_rank
from easq.model.grid import Grid
from easq.model.lora import Projection
from easq.model.moe import PositiveHead
from easq.model.pooling import Inputs
from easq.model.scores import Scores, Unmerged


class Upstream(nn.Module):
    """Predicts each behaviour of each row: the pxtr that a platform's earlier stage would bring."""

    def __init__(self, viewer_dim: int, candidate_dim: int, hidden: int, num_behaviors: int) -> None:
        super().__init__()
        self.backbone = Projection(viewer_dim, candidate_dim, hidden)
        self.heads = nn.Sequential(nn.ReLU(), nn.Linear(hidden, num_behaviors))

    def forward(self, x: Inputs) -> Tensor:
        """Return a logit per row and behaviour."""
        logit_NK: Tensor = self.heads(self.backbone(x))
        return logit_NK


class SetRanker(nn.Module):
    """Candidates with their pxtr and its rank in the request, compared by a Transformer."""

    def __init__(
        self,
        viewer_dim: int,
        candidate_dim: int,
        hidden: int,
        head_width: int,
        eps: float,
        num_behaviors: int,
        num_heads: int,
        num_layers: int,
    ) -> None:
        super().__init__()
        self.backbone = Projection(viewer_dim, candidate_dim, hidden)
        self.predicted = nn.Linear(2 * num_behaviors, hidden)
        self.transformer = CandidateTransformer(hidden, num_heads, num_layers)
        self.head = PositiveHead(hidden, head_width, eps)

    def forward(self, x: Inputs, pxtr_NK: Tensor) -> tuple[Tensor, Tensor]:
        """Return the score of each row, and the row behind it (N x D)."""
        grid = Grid.of(x.request_N, len(x.viewer_BV))
        is_row_BC = grid.spread(torch.ones(len(x.request_N), dtype=torch.bool), False)
        pxtr_BCK = grid.spread(pxtr_NK)
        predicted_BCD = self.predicted(torch.cat([pxtr_BCK, normalised_rank(pxtr_BCK, is_row_BC)], 2))
        h_BCD = self.transformer(grid.spread(self.backbone(x)) + predicted_BCD, is_row_BC)
        h_ND = grid.gather(h_BCD)
        return self.head(h_ND), h_ND


class Emer(nn.Module):
    """Upstream predictions, the ranker that learns, and the `serving` one: the ranker of a while ago.

    With `second_head` satisfaction has a head of its own on the same Transformer, and served is the
    behaviour score plus `satisfaction_share` times the satisfaction score; else one score does both.
    """

    def __init__(
        self,
        viewer_dim: int,
        candidate_dim: int,
        hidden: int,
        head_width: int,
        eps: float,
        num_behaviors: int,
        num_heads: int,
        num_layers: int,
        second_head: bool = False,
        satisfaction_share: float = 0.0,
    ) -> None:
        super().__init__()
        self.upstream = Upstream(viewer_dim, candidate_dim, hidden, num_behaviors)
        self.ranker = SetRanker(
            viewer_dim, candidate_dim, hidden, head_width, eps, num_behaviors, num_heads, num_layers
        )
        self.satisfaction = PositiveHead(hidden, head_width, eps) if second_head else None
        self.serving = copy.deepcopy(self.ranker).requires_grad_(False)
        self.register_buffer("serving_age", torch.zeros(1))
        self.serving_age: Tensor
        self._share = satisfaction_share

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows, and the satisfaction of the rows that `answered_A` names."""
        return self.rank(x, self.upstream(x), answered_A)

    def rank(self, x: Inputs, logit_NK: Tensor, answered_A: Tensor | None) -> Scores:
        """Score by given upstream logits, which are read and never trained from here."""
        behavior_N, h_ND = self.ranker(x, logit_NK.detach().sigmoid())
        no_gates = h_ND.new_zeros(len(h_ND), 0)
        if self.satisfaction is None:
            satisfaction_A = None if answered_A is None else behavior_N.index_select(0, answered_A)
            return Scores(behavior_N, satisfaction_A, no_gates, None, behavior_N)
        satisfaction_N = self.satisfaction(h_ND)
        served_N = (behavior_N + self._share * satisfaction_N).detach()
        satisfaction_A = None if answered_A is None else satisfaction_N.index_select(0, answered_A)
        return Scores(served_N, satisfaction_A, no_gates, None, behavior_N)

    @torch.no_grad()
    def serving_scores(self, x: Inputs, logit_NK: Tensor) -> Tensor:
        """Return how the ranker of a while ago scores the rows."""
        scores: Tensor = self.serving(x, logit_NK.sigmoid())[0]
        return scores

    @torch.no_grad()
    def grow_old(self, steps: int) -> None:
        """Count a step; after `steps` of them the serving ranker becomes what the ranker is now."""
        self.serving_age += 1
        if self.serving_age >= steps:
            self.serving_age.zero_()
            self.serving.load_state_dict(self.ranker.state_dict())

    def merged(self) -> Unmerged:
        """Return the serving form."""
        return Unmerged(self)
