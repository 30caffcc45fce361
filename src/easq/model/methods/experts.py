"""Experts whose outputs several tasks mix. Shapes: N rows, D input, K experts, W width."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ExpertBank(nn.Module):
    """K two-layer experts on the same rows, all computed at once."""

    def __init__(self, in_dim: int, width: int, num_experts: int) -> None:
        super().__init__()
        self.num_experts, self._width = num_experts, width
        self.inner = nn.Linear(in_dim, num_experts * width)
        self.outer_KWW = nn.Parameter(torch.empty(num_experts, width, width))
        self.bias_KW = nn.Parameter(torch.zeros(num_experts, width))
        nn.init.uniform_(self.outer_KWW, -(width**-0.5), width**-0.5)

    def forward(self, h_ND: Tensor) -> Tensor:
        """Return what each expert makes of each row, N x K x W."""
        inner_NKW = functional.relu(self.inner(h_ND)).view(-1, self.num_experts, self._width)
        outer_KNW = torch.bmm(inner_NKW.transpose(0, 1), self.outer_KWW)
        return outer_KNW.transpose(0, 1) + self.bias_KW


class SoftGate(nn.Module):
    """A task's own mixture of experts, by softmax."""

    def __init__(self, in_dim: int, num_experts: int) -> None:
        super().__init__()
        self.gate = nn.Linear(in_dim, num_experts, bias=False)

    def forward(self, h_ND: Tensor, expert_NKW: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mixture (N x W) and the gates (N x K)."""
        gate_NK = self.gate(h_ND).softmax(1)
        return (gate_NK.unsqueeze(1) @ expert_NKW).squeeze(1), gate_NK
