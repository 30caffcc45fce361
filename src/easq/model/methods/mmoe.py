"""MMoE (Ma et al. 2018): shared experts, and a softmax gate for each task.

Shapes: N rows, D hidden, K experts, W width.
"""

from torch import Tensor, nn
from torch.nn import functional

from easq.model.methods.experts import ExpertBank, SoftGate
from easq.model.methods.multitask import Tasks


class Mmoe(nn.Module):
    """Every expert works for both tasks; a task's gate says how much of each it takes."""

    def __init__(self, in_dim: int, width: int, num_experts: int) -> None:
        super().__init__()
        self.experts = ExpertBank(in_dim, width, num_experts)
        self.behavior = SoftGate(in_dim, num_experts)
        self.satisfaction = SoftGate(in_dim, num_experts)

    def forward(self, h_ND: Tensor) -> Tasks:
        """Return the two mixtures."""
        expert_NKW = functional.relu(self.experts(h_ND))
        behavior_NW, gate_NK = self.behavior(h_ND, expert_NKW)
        satisfaction_NW, _ = self.satisfaction(h_ND, expert_NKW)
        return Tasks(behavior_NW, satisfaction_NW, gate_NK)
