"""EASQ: a satisfaction path that answers train beside a main path that behaviour trains.

Shapes: N rows, A answered rows, D hidden, K1 and K2 experts. Source: method.md section 3.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from easq.model.answer import AnswerNetwork
from easq.model.lora import LowRankPath, Projection, project
from easq.model.moe import RELU, PositiveHead, Routing, Tower
from easq.model.pooling import Inputs
from easq.model.pull_controller import PullController
from easq.model.scores import Scores


class Easq(nn.Module):
    """Backbone, low-rank path and two towers.

    `answers_move_embeddings` lets the low-rank path read x itself instead of sg(x). With `rank` 0 there
    is no low-rank path: both towers read h, and answers train the satisfaction tower alone. With
    `has_variance` satisfaction is a mean and a variance. The rest is for
    training alone and not read by the towers: a `teacher`, a network of the chance of a `response`, and the
    behaviour-only `reference` with its `price`.
    """

    def __init__(
        self,
        viewer_dim: int,
        candidate_dim: int,
        hidden: int,
        rank: int,
        expert_width: int,
        num_experts: int,
        num_satisfaction_experts: int,
        head_width: int,
        eps: float,
        answers_move_embeddings: bool = False,
        lora_init: Literal["kaiming", "normal"] = "kaiming",
        routing: Routing = RELU,
        teacher: AnswerNetwork | None = None,
        response: AnswerNetwork | None = None,
        has_variance: bool = False,
        reference: nn.Module | None = None,
        price: PullController | None = None,
    ) -> None:
        super().__init__()
        self.backbone = Projection(viewer_dim, candidate_dim, hidden)
        self.low_rank = LowRankPath(viewer_dim, candidate_dim, hidden, rank, lora_init) if rank else None
        self.main = Tower(hidden, expert_width, num_experts, head_width, eps, routing)
        self.satisfaction = Tower(hidden, expert_width, num_satisfaction_experts, head_width, eps, routing)
        self.variance = PositiveHead(expert_width, head_width, eps) if has_variance else None
        self.teacher, self.response = teacher, response
        self.reference, self.price = reference, price
        self._answers_move_embeddings = answers_move_embeddings

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows, and the satisfaction of the rows that `answered_A` names.

        The stop-gradients make the map of who trains what: L_main and L_dpo, of the served score,
        reach embeddings, backbone and main tower; L_satis reaches the low-rank path and its tower.
        """
        h_ND = self.backbone(x)
        h_main_ND = h_ND
        if self.low_rank is not None:
            with torch.no_grad():
                lora_ND = self.low_rank(x)
            h_main_ND = h_ND + lora_ND
        served_N, gate_NK = self.main(h_main_ND)
        if answered_A is None:
            return Scores(served_N, None, gate_NK, None)
        h_satis_AD = h_ND.detach().index_select(0, answered_A)
        if self.low_rank is not None:
            # Only answered rows train the low-rank path, so only theirs are computed with a gradient.
            x_A = x.select(answered_A)
            h_satis_AD = h_satis_AD + self.low_rank(x_A if self._answers_move_embeddings else x_A.detach())
        mixture_AW, satisfaction_gate_AK = self.satisfaction.experts(h_satis_AD)
        satisfaction_A = self.satisfaction.head(mixture_AW)
        variance_A = None if self.variance is None else self.variance(mixture_AW)
        return Scores(served_N, satisfaction_A, gate_NK, satisfaction_gate_AK, variance_A=variance_A)

    def merged(self) -> "MergedEasq":
        """Return the serving form: W0 + B A and the main tower, without the satisfaction experts."""
        increment = 0.0 if self.low_rank is None else self.low_rank.product()
        return MergedEasq(self.backbone.weight + increment, self.backbone.viewer_dim, self.main)


class MergedEasq(nn.Module):
    """The served function of an `Easq` with its low-rank path merged into the backbone."""

    def __init__(self, weight_DF: Tensor, viewer_dim: int, main: Tower) -> None:
        super().__init__()
        self.register_buffer("weight", weight_DF.detach().clone())
        self.weight: Tensor
        self._viewer_dim = viewer_dim
        self.main = main

    def forward(self, x: Inputs) -> Tensor:
        """Return the served scores."""
        served_N: Tensor = self.main(project(self.weight, x, self._viewer_dim))[0]
        return served_N
