"""Mixture of experts with a router: ReLU gates are non-negative, and how many are active varies by row.

Shapes: N rows, D hidden, K experts, W expert width.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Routing(NamedTuple):
    """How gates are computed; only softmax_top_k reads `top_k`.

    relu           ReLU(W_gate h).
    softmax_top_k  softmax over the `top_k` largest of W_gate h, the other gates zero.
    none           every gate is 1: the experts together are one plain network of the same size.
    """

    kind: Literal["relu", "softmax_top_k", "none"] = "relu"
    top_k: int = 2


RELU = Routing()

Activation = Literal["relu", "softplus"]
_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "softplus": functional.softplus,
}


class MixtureOfExperts(nn.Module):
    """sum_k gate_k E_k(h) with gate = ReLU(W_gate h) and two-layer experts, as two matrix products.

    Source: docs/method.md section 3; ReLU routing as in ReMoE (Wang et al. 2024), without its penalty.
    """

    def __init__(
        self, in_dim: int, width: int, num_experts: int, routing: Routing, activation: Activation = "relu"
    ) -> None:
        super().__init__()
        self.num_experts, self.width, self._routing = num_experts, width, routing
        self._activate = _ACTIVATIONS[activation]
        self.gate = None if routing.kind == "none" else nn.Linear(in_dim, num_experts, bias=False)
        self.inner = nn.Linear(in_dim, num_experts * width)
        self.outer = nn.Linear(num_experts * width, width, bias=False)
        self.outer_bias = nn.Parameter(torch.zeros(num_experts, width))

    def forward(self, h_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mixture (N x W) and the gates (N x K)."""
        gate_NK = self._gates(h_ND)
        inner_NKW = self._activate(self.inner(h_ND)).view(-1, self.num_experts, self.width)
        # Scaling the inner layer by its gate turns the weighted sum of K products into one.
        weighted = (inner_NKW * gate_NK.unsqueeze(2)).flatten(1)
        return self.outer(weighted) + gate_NK @ self.outer_bias, gate_NK

    def _gates(self, h_ND: Tensor) -> Tensor:
        if self.gate is None:
            return h_ND.new_ones(h_ND.shape[0], self.num_experts)
        logit_NK = self.gate(h_ND)
        if self._routing.kind == "relu":
            return functional.relu(logit_NK)
        most, place = logit_NK.topk(min(self._routing.top_k, self.num_experts), dim=1)
        return torch.zeros_like(logit_NK).scatter(1, place, most.softmax(1))


class PositiveHead(nn.Module):
    """Softplus(head(z)) + eps: a positive score, as the log-scores of the DPO term need."""

    def __init__(self, in_dim: int, width: int, eps: float, activation: Activation = "relu") -> None:
        super().__init__()
        self.eps = eps
        layer = nn.ReLU if activation == "relu" else nn.Softplus
        self.layers = (
            nn.Sequential(layer(), nn.Linear(in_dim, width), layer(), nn.Linear(width, 1))
            if width
            else nn.Linear(in_dim, 1)
        )

    def forward(self, z_NW: Tensor) -> Tensor:
        """Return one score per row."""
        return functional.softplus(self.layers(z_NW).squeeze(1)) + self.eps


class Tower(nn.Module):
    """Experts and head of one path, from hidden rows to positive scores and gates."""

    def __init__(
        self,
        in_dim: int,
        width: int,
        num_experts: int,
        head_width: int,
        eps: float,
        routing: Routing = RELU,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.experts = MixtureOfExperts(in_dim, width, num_experts, routing, activation)
        self.head = PositiveHead(width, head_width, eps, activation)

    def forward(self, h_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (N) and gates (N x K)."""
        mixture, gate_NK = self.experts(h_ND)
        return self.head(mixture), gate_NK
