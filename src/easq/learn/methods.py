"""What each method learns from a step: scores and losses of one forward pass.

The learner does everything else in the same way for all of them: features, embedding tables, the order
of the data, the replay buffer, the optimizer and its budget.
"""

from typing import Protocol

import torch

from easq.learn.emer import EmerObjective
from easq.learn.imputation import ImputationObjective
from easq.learn.multitask import TwoTasks
from easq.learn.objective import Lesson, Losses, OrderScope, losses
from easq.learn.response import pair_weights, response_loss
from easq.learn.saqrec import SaqrecObjective
from easq.learn.teacher import with_teacher
from easq.model.baselines.behavior import BehaviorOnly
from easq.model.baselines.emer import Emer
from easq.model.baselines.imputation import Imputation
from easq.model.baselines.saqrec import Saqrec
from easq.model.builder import RankingModel
from easq.model.easq import Easq
from easq.model.embedding import Inputs
from easq.model.scores import Scores
from easq.schema import BEHAVIOR_ONLY, Alignment, Recipe


class Objective(Protocol):
    """Scores a step's rows and says what is to be minimised.

    `reads_answers` says whether the step holds answered and replayed rows, `reads_told` whether it holds
    those of which behaviour and answer are known; else `lesson.questioned` or `lesson.told` is None.
    """

    reads_answers: bool
    reads_told: bool

    def __call__(self, x: Inputs, lesson: Lesson) -> tuple[Scores, Losses]:
        """Return the scores of all rows, those behind the batch's own included, and the losses."""
        ...

    def learned(self) -> None:
        """Do what follows upon a step that the parameters have taken."""
        ...


class OneScore:
    """EASQ and the behaviour-only model: the served score, and the satisfaction experts where there are."""

    def __init__(
        self,
        model: Easq | BehaviorOnly,
        alignment: Alignment,
        order_scope: OrderScope,
        num_options: int,
    ) -> None:
        self._model, self._alignment, self._order_scope = model, alignment, order_scope
        self._best = num_options - 1
        self._teacher = model.teacher if isinstance(model, Easq) else None
        self._response = model.response if isinstance(model, Easq) else None
        self.reads_answers = isinstance(model, Easq)
        self.reads_told = self._teacher is not None

    def __call__(self, x: Inputs, lesson: Lesson) -> tuple[Scores, Losses]:
        """Return L_main + lambda1 L_satis + lambda2 L_dpo."""
        questioned = lesson.questioned
        row_Q = None if questioned is None else torch.from_numpy(questioned.row_Q)
        scores: Scores = self._model(x, row_Q)
        weight_P = None
        if self._response is not None and questioned is not None:
            weight_P = pair_weights(self._response, x, questioned, self._alignment.propensity_floor)
        found = losses(scores, lesson.batch, questioned, self._alignment, self._order_scope, weight_P)
        if self._response is not None:
            found = found.plus("response", response_loss(self._response, x, lesson.batch))
        if self._teacher is not None:
            found = with_teacher(found, scores, x, lesson, self._teacher, self._alignment, self._best)
        return scores, found

    def learned(self) -> None:
        """Do nothing more."""


def build_objective(recipe: Recipe, model: RankingModel) -> Objective:
    """Return the objective of the recipe's method."""
    method, alignment, scope = recipe.model.method, recipe.alignment, recipe.order.scope
    if isinstance(model, Easq | BehaviorOnly):
        return OneScore(model, alignment, scope, len(recipe.question.options))
    if isinstance(model, Imputation):
        return ImputationObjective(model, alignment.satisfaction_weight, scope, len(recipe.question.options))
    if isinstance(model, Saqrec):
        return SaqrecObjective(model, alignment.satisfaction_weight, scope, len(recipe.question.options))
    if isinstance(model, Emer):
        names = [b.name for b in recipe.behaviors]
        settings = recipe.baselines
        return EmerObjective(
            model,
            alignment.satisfaction_weight,
            scope,
            [k for k, b in enumerate(recipe.behaviors) if b.weight > 0],
            None if settings.emer_watch is None else names.index(settings.emer_watch),
            settings.emer_top,
            settings.emer_serving_steps,
            method not in BEHAVIOR_ONLY,
        )
    return TwoTasks(model, alignment.satisfaction_weight, scope)
