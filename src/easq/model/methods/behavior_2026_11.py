"""The behavior-only model: EASQ's backbone and main tower, without any answer. Shapes: N rows."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from easq.model.dims import Dims
from easq.model.lora import Projection
from easq.model.method import EMBEDDINGS, Moves, RoutedMethod, Task
from easq.model.moe import RELU, Activation, Routing, Tower
from easq.model.objective import Losses, OrderScope, Supervision, behavior_loss
from easq.model.pooling import Inputs, Pooling
from easq.model.scores import Scores
from easq.model.serving import MergedTower, RankingNetwork


class BehaviorTower(RankingNetwork):
    """The ranking that behavior trains, as most platforms serve it today."""

    def __init__(
        self,
        dims: Dims,
        *,
        expert_width: int,
        num_experts: int,
        routing: Routing = RELU,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.backbone = Projection(dims.viewer, dims.candidate, dims.hidden)
        self.main = Tower(dims.hidden, expert_width, num_experts, dims.head, dims.eps, routing, activation)

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows; answers are not read."""
        del answered_A
        served_N, gate_NK = self.main(self.backbone(x))
        return Scores(served_N, None, gate_NK, None)

    def merged(self) -> MergedTower:
        """Return the serving form."""
        return MergedTower(self.backbone.weight, self.backbone.viewer_dim, self.main)


class BehaviorTowerObjective:
    """L_main of the served score."""

    def __init__(self, network: RankingNetwork, order_scope: OrderScope) -> None:
        self._network, self._order_scope = network, order_scope

    def __call__(self, x: Inputs, supervision: Supervision) -> tuple[Scores, Losses]:
        """Return the scores and L_main."""
        scores = self._network(x)
        main = behavior_loss(scores.served_N, supervision.batch, self._order_scope)
        return scores, Losses(main, main)


class BehaviorTowerSettings(RoutedMethod, frozen=True, tag="behavior_2026_11"):
    """[method] kind = "behavior_2026_11". It is EASQ's main path without answers.

    activation   of experts and heads.
    """

    label: ClassVar[str] = "Behavior only, Nov 2026"
    gradient_map: ClassVar[Mapping[str, Moves]] = {
        "main": Moves((*EMBEDDINGS, "model.backbone", "model.main"))
    }

    activation: Activation = "relu"

    def network(self, task: Task, pooling: Pooling) -> BehaviorTower:
        """Return the untrained network."""
        return BehaviorTower(
            Dims.of(task.sizes, pooling),
            expert_width=self.expert_width,
            num_experts=self.experts,
            routing=self.how_routed,
            activation=self.activation,
        )

    def objective(self, task: Task, network: RankingNetwork) -> BehaviorTowerObjective:
        """Return the objective that trains the network."""
        return BehaviorTowerObjective(network, task.order_scope)
