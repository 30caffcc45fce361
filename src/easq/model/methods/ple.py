"""PLE (Tang et al. 2020): experts of each task's own beside shared ones, in two levels.

Shapes: N rows, D input of a level, K experts that a task sees, W width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from easq.model.methods.experts import ExpertBank, SoftGate
from easq.model.methods.multitask import Tasks


class Ple(nn.Module):
    """Two levels of extraction; the second reads what the first made for each task and for both.

    `num_experts` are divided evenly between the behaviour task and both tasks together;
    `num_satisfaction_experts` are the satisfaction task's own.
    """

    def __init__(self, in_dim: int, width: int, num_experts: int, num_satisfaction_experts: int) -> None:
        super().__init__()
        sizes = (max(1, num_experts - num_experts // 2), num_satisfaction_experts, max(1, num_experts // 2))
        self.first = Extraction(in_dim, width, sizes, last=False)
        self.second = Extraction(width, width, sizes, last=True)

    def forward(self, h_ND: Tensor) -> Tasks:
        """Return the rows of both tasks."""
        (behavior_NW, satisfaction_NW, shared_NW), _ = self.first(h_ND, h_ND, h_ND)
        (behavior_NW, satisfaction_NW, _), gate_NK = self.second(behavior_NW, satisfaction_NW, shared_NW)
        return Tasks(behavior_NW, satisfaction_NW, gate_NK)


class Extraction(nn.Module):
    """One level (CGC): a task mixes its own experts and the shared ones; the shared side mixes all.

    The `last` level has no shared output.
    """

    def __init__(self, in_dim: int, width: int, sizes: tuple[int, int, int], last: bool) -> None:
        super().__init__()
        own, other, shared = sizes
        self.behavior_experts = ExpertBank(in_dim, width, own)
        self.satisfaction_experts = ExpertBank(in_dim, width, other)
        self.shared_experts = ExpertBank(in_dim, width, shared)
        self.behavior_gate = SoftGate(in_dim, own + shared)
        self.satisfaction_gate = SoftGate(in_dim, other + shared)
        self.shared_gate = None if last else SoftGate(in_dim, own + other + shared)

    def forward(
        self, behavior_ND: Tensor, satisfaction_ND: Tensor, shared_ND: Tensor
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        """Return the rows of behaviour, satisfaction and both, and the gates of behaviour."""
        own = functional.relu(self.behavior_experts(behavior_ND))
        other = functional.relu(self.satisfaction_experts(satisfaction_ND))
        shared = functional.relu(self.shared_experts(shared_ND))
        behavior_NW, gate_NK = self.behavior_gate(behavior_ND, torch.cat([own, shared], 1))
        satisfaction_NW, _ = self.satisfaction_gate(satisfaction_ND, torch.cat([other, shared], 1))
        if self.shared_gate is None:
            return (behavior_NW, satisfaction_NW, behavior_NW), gate_NK
        shared_NW, _ = self.shared_gate(shared_ND, torch.cat([own, other, shared], 1))
        return (behavior_NW, satisfaction_NW, shared_NW), gate_NK
