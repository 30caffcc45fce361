"""The behaviour-only model: EASQ's backbone and main tower, without any answer."""

from torch import Tensor, nn

from easq.model.lora import Projection
from easq.model.methods.easq import MergedEasq
from easq.model.moe import RELU, Routing, Tower
from easq.model.pooling import Inputs
from easq.model.scores import Scores


class BehaviorOnly(nn.Module):
    """What a platform serves today: the ranking that behaviour trains."""

    def __init__(
        self,
        viewer_dim: int,
        candidate_dim: int,
        hidden: int,
        expert_width: int,
        num_experts: int,
        head_width: int,
        eps: float,
        routing: Routing = RELU,
    ) -> None:
        super().__init__()
        self.backbone = Projection(viewer_dim, candidate_dim, hidden)
        self.main = Tower(hidden, expert_width, num_experts, head_width, eps, routing)

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows; answers are not read."""
        del answered_A
        served_N, gate_NK = self.main(self.backbone(x))
        return Scores(served_N, None, gate_NK, None)

    def merged(self) -> MergedEasq:
        """Return the serving form."""
        return MergedEasq(self.backbone.weight, self.backbone.viewer_dim, self.main)
