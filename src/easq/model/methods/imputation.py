"""Imputation network (Christakopoulou et al. 2022, arXiv 2209.15166): predict the answers not asked for.

Shapes: N rows, A answered rows, M viewed rows.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from easq.model.answer import AnswerNetwork
from easq.model.dims import Dims
from easq.model.lora import Projection
from easq.model.losses import answer_loss, estimated_answers, gap_loss
from easq.model.method import EMBEDDINGS, AnswerUse, Moves, RoutedMethod, Task
from easq.model.moe import RELU, Routing, Tower
from easq.model.objective import Losses, Supervision, behavior_loss
from easq.model.pooling import Inputs, Pooling
from easq.model.scores import Scores
from easq.model.serving import RankingNetwork
from easq.recipe.values import Weight


class Imputation(RankingNetwork):
    """The behavior-only model, which serves, and an imputer beside it on the same embeddings.

    With `num_behaviors` the imputer is privileged: it also reads the behavior after the view.
    """

    def __init__(
        self,
        dims: Dims,
        *,
        expert_width: int,
        num_experts: int,
        num_behaviors: int = 0,
        routing: Routing = RELU,
    ) -> None:
        super().__init__()
        self.backbone = Projection(dims.viewer, dims.candidate, dims.hidden)
        self.main = Tower(dims.hidden, expert_width, num_experts, dims.head, dims.eps, routing)
        self.imputer = AnswerNetwork(dims, expert_width, num_behaviors)
        self.is_privileged = num_behaviors > 0

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows, and predict the answers of the rows that `answered_A` names.

        A privileged imputer predicts nothing here, because behavior is not known for every row.
        """
        served_N, gate_NK = self.main(self.backbone(x))
        imputed_A = None
        if answered_A is not None and not self.is_privileged:
            imputed_A = self.imputer(x.select(answered_A))
        return Scores(served_N, imputed_A, gate_NK, None)


class ImputationSettings(RoutedMethod, frozen=True, tag="imputation"):
    """[method] kind = "imputation": the imputer reads what is known before the view.

    satisfaction_weight   weight of the imputed order beside that of behavior.
    partners              half of the replayed answers come with another answer of the same viewer.
    """

    label: ClassVar[str] = "Imputation"
    gradient_map: ClassVar[Mapping[str, Moves]] = {
        "main": Moves((*EMBEDDINGS, "model.backbone", "model.main")),
        "imputed": Moves((*EMBEDDINGS, "model.backbone", "model.main")),
        "answers": Moves((*EMBEDDINGS, "model.imputer")),
    }
    is_privileged: ClassVar[bool] = False

    satisfaction_weight: Weight = 1.0
    partners: bool = True

    @property
    def answer_use(self) -> AnswerUse:
        """How the method uses answers."""
        return AnswerUse(partners=self.partners, labelled=self.is_privileged)

    def network(self, task: Task, pooling: Pooling) -> Imputation:
        """Return the untrained network."""
        return Imputation(
            Dims.of(task.sizes, pooling),
            expert_width=self.expert_width,
            num_experts=self.experts,
            num_behaviors=task.num_behaviors if self.is_privileged else 0,
            routing=self.how_routed,
        )

    def objective(self, task: Task, network: RankingNetwork) -> "ImputationObjective":
        """Return the objective that trains the network."""
        assert isinstance(network, Imputation)
        return ImputationObjective(network, self.satisfaction_weight, task)


class PrivilegedImputationSettings(ImputationSettings, frozen=True, tag="imputation_privileged"):
    """[method] kind = "imputation_privileged": in training the imputer also reads behavior after the view."""

    label: ClassVar[str] = "Imputation, privileged"
    is_privileged: ClassVar[bool] = True


class ImputationObjective:
    """L_main + L_answers of the imputer + lambda1 L_imputed of the ranker."""

    def __init__(self, network: Imputation, satisfaction_weight: float, task: Task) -> None:
        self._network, self._weight, self._task = network, satisfaction_weight, task

    def __call__(self, x: Inputs, supervision: Supervision) -> tuple[Scores, Losses]:
        """Return scores and losses of one step."""
        network, batch, pairs = self._network, supervision.batch, supervision.pairs
        scores: Scores = network(x, torch.from_numpy(pairs.row_Q))
        main = behavior_loss(scores.served_N, batch, self._task.order_scope)
        behavior_MK = None
        if network.is_privileged:
            labelled = supervision.labelled
            logit_A = network.imputer(x.select(labelled.row_T), labelled.behavior_TK)
            answer_A, weight_A = labelled.option_T / self._task.best, labelled.weight_T
            behavior_MK = torch.from_numpy(batch.behavior_MK).float()
        else:
            assert scores.satisfaction_A is not None
            logit_A = scores.satisfaction_A[torch.from_numpy(pairs.place_A)]
            answer_A = torch.from_numpy(pairs.option_A) / self._task.best
            weight_A = torch.from_numpy(pairs.weight_A)
        answers = answer_loss(logit_A, answer_A, weight_A)
        num_viewed = batch.num_viewed
        with torch.no_grad():
            imputed_M = network.imputer(x.first(num_viewed), behavior_MK).sigmoid()
        answer_M, answer_weight_M = torch.from_numpy(batch.answer_M), torch.from_numpy(batch.answer_weight_M)
        estimate_M = estimated_answers(imputed_M, answer_M, answer_weight_M, self._task.best)
        imputed = gap_loss(scores.served_N[:num_viewed], estimate_M, x.request_N[:num_viewed])
        total = main + answers + self._weight * imputed
        return scores, Losses(total, main, others={"answers": answers, "imputed": imputed})
