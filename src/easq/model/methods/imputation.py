"""Imputation network (Christakopoulou et al. 2022): predict the answer that was not asked for.

Shapes: N rows, A answered rows.
"""

from torch import Tensor, nn

from easq.model.answer import AnswerNetwork
from easq.model.lora import Projection
from easq.model.moe import RELU, Routing, Tower
from easq.model.pooling import Inputs
from easq.model.scores import Scores, Unmerged


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
        self.imputer = AnswerNetwork(viewer_dim, candidate_dim, hidden, expert_width, num_behaviors)
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
