"""Serving forms of networks: equal scores with the least work. Shapes: N rows, D hidden, F features."""

from torch import Tensor, nn

from easq.model.lora import project
from easq.model.moe import Tower
from easq.model.pooling import Inputs
from easq.model.scores import Scores


class RankingNetwork(nn.Module):
    """A network that scores rows and has a serving form with equal scores."""

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows, and the satisfaction of the rows that `answered_A` names."""
        raise NotImplementedError

    def merged(self) -> nn.Module:
        """Return the serving form: a module of the same parameters, from inputs to served scores."""
        return Unmerged(self)


class Unmerged(nn.Module):
    """The serving form of a network that has no cheaper one: the network itself."""

    def __init__(self, network: RankingNetwork) -> None:
        super().__init__()
        self._network = network

    def forward(self, x: Inputs) -> Tensor:
        """Return the served scores."""
        scores: Scores = self._network(x)
        return scores.served_N


class MergedTower(nn.Module):
    """One projection and one tower; a low-rank path is merged into the weight of the projection."""

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
