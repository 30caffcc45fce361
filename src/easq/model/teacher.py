"""The privileged teacher: it learns from views with behaviour and answer, and labels those without one.

Shapes: M viewed rows, Q rows that the satisfaction path scores.
"""

import torch
from torch import Tensor

from easq.model.answer import AnswerNetwork
from easq.model.dense_losses import answer_loss, believed, gap_loss
from easq.model.losses import log_score
from easq.model.objective import Losses, Supervision
from easq.model.pooling import Inputs
from easq.model.scores import Scores
from easq.recipe.learning import Alignment


def with_teacher(
    losses: Losses,
    scores: Scores,
    x: Inputs,
    lesson: Supervision,
    teacher: AnswerNetwork,
    alignment: Alignment,
    best: int,
) -> Losses:
    """Return the losses with the teacher's own, and with L_satis and L_dpo on the views that it labels.

    The teacher reads sg(x), so it moves itself alone. Of the Q rows the viewed ones stand last. A pair of one
    request counts by how far apart the teacher sees the two; where there is an answer, that holds.
    """
    batch, told = lesson.batch, lesson.told
    assert told is not None
    assert scores.satisfaction_A is not None
    still = x.detach()
    own = answer_loss(
        teacher(still.select(told.row_T), told.behavior_TK), told.option_T / best, told.weight_T
    )
    num_viewed = batch.num_viewed
    with torch.no_grad():
        taught_M = teacher(still.first(num_viewed), torch.from_numpy(batch.behavior_MK).float()).sigmoid()
    answer_M, answer_weight_M = torch.from_numpy(batch.answer_M), torch.from_numpy(batch.answer_weight_M)
    believed_M = believed(taught_M, answer_M, answer_weight_M, best)
    satisfaction_M = scores.satisfaction_A[len(scores.satisfaction_A) - num_viewed :]
    request_M = x.request_N[:num_viewed]
    satisfaction = gap_loss(satisfaction_M, believed_M, request_M)
    # A margin of L_dpo is the difference of two rows' log y - log sg(s), so the same pairs serve for it.
    pull_M = alignment.beta * _pull(scores.served_N[:num_viewed], satisfaction_M.detach())
    dpo = gap_loss(pull_M, believed_M, request_M)
    dense = alignment.satisfaction_weight * satisfaction + alignment.dpo_weight * dpo
    others = losses.others | {"teacher": own, "taught_satisfaction": satisfaction, "taught_dpo": dpo}
    total = losses.total + own + alignment.teacher_weight * dense
    return Losses(total, losses.main, losses.satisfaction, losses.dpo, others)


def _pull(served_M: Tensor, reference_M: Tensor) -> Tensor:
    return log_score(served_M) - log_score(reference_M)
