"""Two tasks on one backbone: behaviour and satisfaction, joined by a body that they share.

Shapes: N rows, A answered rows, D hidden, W body width, K gates.
"""

from typing import NamedTuple, Protocol

from torch import Tensor, nn

from easq.model.lora import Projection
from easq.model.moe import PositiveHead
from easq.model.pooling import Inputs
from easq.model.scores import Scores, Unmerged


class Tasks(NamedTuple):
    """What a body gives to the heads of both tasks, and the gates of the behaviour task."""

    behavior_NW: Tensor
    satisfaction_NW: Tensor
    gate_NK: Tensor


class Body(Protocol):
    """Turns hidden rows into those of the two tasks."""

    def __call__(self, h_ND: Tensor) -> Tasks:
        """Return the rows of both tasks."""
        ...


class MultiTask(nn.Module):
    """Backbone, shared body, a head for each task; answers and behaviour both train what is shared.

    Served is the behaviour score plus `satisfaction_share` times the satisfaction score.
    """

    def __init__(
        self,
        viewer_dim: int,
        candidate_dim: int,
        hidden: int,
        body: Body,
        width: int,
        head_width: int,
        eps: float,
        satisfaction_share: float,
    ) -> None:
        super().__init__()
        self.backbone = Projection(viewer_dim, candidate_dim, hidden)
        self.body = body
        self.behavior = PositiveHead(width, head_width, eps)
        self.satisfaction = PositiveHead(width, head_width, eps)
        self._share = satisfaction_share

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows, and the satisfaction of the rows that `answered_A` names."""
        tasks = self.body(self.backbone(x))
        behavior_N = self.behavior(tasks.behavior_NW)
        served_N = behavior_N
        if self._share:
            # What is served trains nothing: each head has a loss of its own.
            served_N = (behavior_N + self._share * self.satisfaction(tasks.satisfaction_NW)).detach()
        if answered_A is None:
            return Scores(served_N, None, tasks.gate_NK, None, behavior_N)
        satisfaction_A = self.satisfaction(tasks.satisfaction_NW.index_select(0, answered_A))
        return Scores(served_N, satisfaction_A, tasks.gate_NK, None, behavior_N)

    def merged(self) -> Unmerged:
        """Return the serving form."""
        return Unmerged(self)
