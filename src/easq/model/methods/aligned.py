"""What EASQ and the behaviour-only model learn from a step."""

import numpy as np
import torch
from msgspec.structs import replace
from torch import Tensor

from easq.features.batch import Batch
from easq.model.methods.behavior import BehaviorOnly
from easq.model.methods.easq import Easq
from easq.model.objective import Losses, OrderScope, Supervision, behavior_loss, losses
from easq.model.pairwise_accuracy import pairs_right
from easq.model.pooling import Inputs
from easq.model.response import pair_weights, response_loss
from easq.model.scores import Scores
from easq.model.teacher import with_teacher
from easq.recipe.learning import Alignment


class BehaviorObjective:
    """L_main of the behaviour-only model."""

    reads_answers = False
    reads_labelled = False

    def __init__(self, model: BehaviorOnly, order_scope: OrderScope) -> None:
        self._model, self._order_scope = model, order_scope

    def __call__(self, x: Inputs, lesson: Supervision) -> tuple[Scores, Losses]:
        """Return the scores and L_main."""
        scores: Scores = self._model(x)
        main = behavior_loss(scores.served_N, lesson.batch, self._order_scope)
        return scores, Losses(main, main)

    def learned(self) -> None:
        """Do nothing more."""


class EasqObjective:
    """L_main + lambda1 L_satis + lambda2 L_dpo, and the parts beyond the paper that are switched on."""

    reads_answers = True

    def __init__(self, model: Easq, alignment: Alignment, order_scope: OrderScope, num_options: int) -> None:
        self._model, self._alignment, self._order_scope = model, alignment, order_scope
        self._best = num_options - 1
        self._seen: tuple[float, float, float] | None = None
        self.reads_labelled = model.teacher is not None

    def __call__(self, x: Inputs, lesson: Supervision) -> tuple[Scores, Losses]:
        """Return scores and losses of one step."""
        model, alignment, batch, questioned = self._model, self._alignment, lesson.batch, lesson.questioned
        assert questioned is not None
        if model.price is not None:
            alignment = replace(alignment, dpo_weight=alignment.dpo_weight * float(model.price.factor))
        scores: Scores = model(x, torch.from_numpy(questioned.row_Q))
        weight_P = None
        if model.response is not None:
            weight_P = pair_weights(model.response, x, questioned, alignment.propensity_floor)
        found = losses(scores, batch, questioned, alignment, self._order_scope, weight_P)
        if model.response is not None:
            found = found.plus("response", response_loss(model.response, x, batch))
        if model.teacher is not None:
            found = with_teacher(found, scores, x, lesson, model.teacher, alignment, self._best)
        if model.reference is not None:
            reference: Scores = model.reference(x.detach())
            own = behavior_loss(reference.served_N, batch, self._order_scope)
            found = found.plus("reference", own)
            self._seen = _pairs_right(batch, scores.served_N, reference.served_N)
        return scores, found

    def learned(self) -> None:
        """Let the price hear of the step."""
        if self._model.price is not None and self._seen is not None:
            self._model.price.observe(*self._seen)


def _pairs_right(batch: Batch, served_N: Tensor, reference_N: Tensor) -> tuple[float, float, float]:
    """Return how many pairs of requests the served and the reference scores have right, and how many are."""
    request_M = batch.rows.request_N[: batch.num_viewed]
    counts = [
        pairs_right(request_M, batch.level_M, score_N.detach().numpy()) for score_N in (served_N, reference_N)
    ]
    return float(counts[0][0].sum()), float(counts[1][0].sum()), float(np.sum(counts[0][1]))
