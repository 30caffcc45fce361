"""What each method learns from a step: scores and losses of one forward pass.

The learner does everything else in the same way for all of them: features, embedding tables, the order
of the data, the replay buffer, the optimizer and its budget.
"""

from typing import Protocol

from easq.model.build import RankingModel
from easq.model.methods.aligned import BehaviorObjective, EasqObjective
from easq.model.methods.behavior import BehaviorOnly
from easq.model.methods.easq import Easq
from easq.model.methods.emer import Emer
from easq.model.methods.emer_objective import EmerObjective
from easq.model.methods.imputation import Imputation
from easq.model.methods.imputation_objective import ImputationObjective
from easq.model.methods.multitask_objective import MultiTaskObjective
from easq.model.methods.probe import Probe
from easq.model.methods.probe_objective import ProbeObjective
from easq.model.methods.saqrec import Saqrec
from easq.model.methods.saqrec_objective import SaqrecObjective
from easq.model.objective import Losses, Supervision
from easq.model.pooling import Inputs
from easq.model.scores import Scores
from easq.recipe.learning import BEHAVIOR_ONLY
from easq.recipe.recipe import Recipe


class Objective(Protocol):
    """Scores a step's rows and says what is to be minimised.

    `reads_answers` says whether the step holds answered and replayed rows, `reads_labelled` whether it holds
    those of which behaviour and answer are known; else `lesson.questioned` or `lesson.told` is None.
    """

    reads_answers: bool
    reads_labelled: bool

    def __call__(self, x: Inputs, lesson: Supervision) -> tuple[Scores, Losses]:
        """Return the scores of all rows, those behind the batch's own included, and the losses."""
        ...

    def learned(self) -> None:
        """Do what follows upon a step that the parameters have taken."""
        ...


def build_objective(recipe: Recipe, model: RankingModel) -> Objective:
    """Return the objective of the recipe's method."""
    method, alignment, scope = recipe.model.method, recipe.alignment, recipe.order.scope
    num_options = len(recipe.question.options)
    if isinstance(model, Easq):
        return EasqObjective(model, alignment, scope, num_options)
    if isinstance(model, BehaviorOnly | Probe):
        return (
            ProbeObjective(model, alignment.ridge, scope, num_options)
            if isinstance(model, Probe)
            else BehaviorObjective(model, scope)
        )
    if isinstance(model, Imputation):
        return ImputationObjective(model, alignment.satisfaction_weight, scope, num_options)
    if isinstance(model, Saqrec):
        return SaqrecObjective(model, alignment.satisfaction_weight, scope, num_options)
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
    return MultiTaskObjective(model, alignment.satisfaction_weight, scope)
