"""The privileged teacher: it learns from views with behavior and an answer, and labels all other views.

Shapes: M viewed rows, Q rows that the satisfaction path scores.
"""

import torch
from torch import Tensor

from easq.model.answer import AnswerNetwork
from easq.model.losses import answer_loss, estimated_answers, gap_loss, log_score
from easq.model.objective import Losses, Supervision
from easq.model.pooling import Inputs
from easq.model.scores import Scores


def with_teacher(
    losses: Losses,
    scores: Scores,
    x: Inputs,
    supervision: Supervision,
    teacher: AnswerNetwork,
    *,
    best: int,
    beta: float,
    satisfaction_weight: float,
    dpo_weight: float,
    teacher_weight: float,
) -> Losses:
    """Add the teacher's own loss, and L_satis and L_dpo on the views that it labels.

    The teacher reads sg(x), so its loss trains only the teacher. The viewed rows stand last in Q. A pair of
    one request is weighted by the gap of the teacher's labels; an answer replaces the label of its view.
    These two losses have the weight `teacher_weight` relative to those of the answers.
    """
    batch, labelled = supervision.batch, supervision.labelled
    assert scores.satisfaction_A is not None
    detached = x.detach()
    own = answer_loss(
        teacher(detached.select(labelled.row_T), labelled.behavior_TK),
        labelled.option_T / best,
        labelled.weight_T,
    )
    num_viewed = batch.num_viewed
    with torch.no_grad():
        label_M = teacher(detached.first(num_viewed), torch.from_numpy(batch.behavior_MK).float()).sigmoid()
    answer_M, answer_weight_M = torch.from_numpy(batch.answer_M), torch.from_numpy(batch.answer_weight_M)
    estimate_M = estimated_answers(label_M, answer_M, answer_weight_M, best)
    satisfaction_M = scores.satisfaction_A[len(scores.satisfaction_A) - num_viewed :]
    request_M = x.request_N[:num_viewed]
    satisfaction = gap_loss(satisfaction_M, estimate_M, request_M)
    # A margin of L_dpo is the difference of two rows' log y - log sg(s), so it uses the same pairs.
    pull_M = beta * _pull(scores.served_N[:num_viewed], satisfaction_M.detach())
    dpo = gap_loss(pull_M, estimate_M, request_M)
    others = losses.others | {"teacher": own, "taught_satisfaction": satisfaction, "taught_dpo": dpo}
    dense = satisfaction_weight * satisfaction + dpo_weight * dpo
    total = losses.total + own + teacher_weight * dense
    return Losses(total, losses.main, losses.satisfaction, losses.dpo, others)


def _pull(served_M: Tensor, reference_M: Tensor) -> Tensor:
    return log_score(served_M) - log_score(reference_M)
