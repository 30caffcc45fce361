"""Two heads with a loss each: L_main of the behaviour score and L_satis of the satisfaction score."""

import torch
from torch import nn

from easq.model.losses import satisfaction_loss
from easq.model.objective import Losses, OrderScope, Supervision, behavior_loss
from easq.model.pooling import Inputs
from easq.model.scores import Scores


class MultiTaskObjective:
    """L_main + lambda1 L_satis without a stop-gradient: both move everything that the tasks share."""

    reads_answers = True
    reads_labelled = False

    def __init__(self, model: nn.Module, satisfaction_weight: float, order_scope: OrderScope) -> None:
        self._model, self._weight, self._order_scope = model, satisfaction_weight, order_scope

    def __call__(self, x: Inputs, lesson: Supervision) -> tuple[Scores, Losses]:
        """Return the scores of both heads and the weighted sum of their losses."""
        questioned = lesson.questioned
        assert questioned is not None
        scores: Scores = self._model(x, torch.from_numpy(questioned.row_Q))
        assert scores.behavior_N is not None
        assert scores.satisfaction_A is not None
        main = behavior_loss(scores.behavior_N, lesson.batch, self._order_scope)
        satisfaction, _ = satisfaction_loss(
            scores.satisfaction_A[torch.from_numpy(questioned.better_P)],
            scores.satisfaction_A[torch.from_numpy(questioned.worse_P)],
            torch.from_numpy(questioned.weight_P),
        )
        return scores, Losses(main + self._weight * satisfaction, main, satisfaction)

    def learned(self) -> None:
        """Do nothing more."""
