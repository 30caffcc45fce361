"""The imputation network's losses: predict answers, and rank by what is predicted or was said.

Shapes: M viewed rows, A answered rows.
"""

import torch

from easq.model.dense_losses import answer_loss, believed, gap_loss
from easq.model.methods.imputation import Imputation
from easq.model.objective import Losses, OrderScope, Supervision, behavior_loss
from easq.model.pooling import Inputs
from easq.model.scores import Scores


class ImputationObjective:
    """L_main + L_answers of the imputer + lambda1 L_imputed of the ranker."""

    reads_answers = True

    def __init__(
        self, model: Imputation, satisfaction_weight: float, order_scope: OrderScope, num_options: int
    ) -> None:
        self._model, self._weight, self._order_scope = model, satisfaction_weight, order_scope
        self._best = num_options - 1
        self.reads_labelled = model.is_privileged

    def __call__(self, x: Inputs, lesson: Supervision) -> tuple[Scores, Losses]:
        """Return scores and losses of one step."""
        batch, questioned, told = lesson.batch, lesson.questioned, lesson.told
        assert questioned is not None
        scores: Scores = self._model(x, torch.from_numpy(questioned.row_Q))
        main = behavior_loss(scores.served_N, batch, self._order_scope)
        num_viewed = batch.num_viewed
        behavior_MK = None
        if told is not None:
            logit_A = self._model.imputer(x.select(told.row_T), told.behavior_TK)
            answer_A, weight_A = told.option_T / self._best, told.weight_T
            behavior_MK = torch.from_numpy(batch.behavior_MK).float()
        else:
            assert scores.satisfaction_A is not None
            logit_A = scores.satisfaction_A[torch.from_numpy(questioned.place_A)]
            answer_A = torch.from_numpy(questioned.option_A) / self._best
            weight_A = torch.from_numpy(questioned.weight_A)
        answers = answer_loss(logit_A, answer_A, weight_A)
        with torch.no_grad():
            imputed_M = self._model.imputer(x.first(num_viewed), behavior_MK).sigmoid()
        answer_M, answer_weight_M = torch.from_numpy(batch.answer_M), torch.from_numpy(batch.answer_weight_M)
        believed_M = believed(imputed_M, answer_M, answer_weight_M, self._best)
        imputed = gap_loss(scores.served_N[:num_viewed], believed_M, x.request_N[:num_viewed])
        total = main + answers + self._weight * imputed
        return scores, Losses(total, main, others={"answers": answers, "imputed": imputed})

    def learned(self) -> None:
        """Do nothing more."""
