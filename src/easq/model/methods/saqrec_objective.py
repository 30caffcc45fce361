"""SAQRec's stages in one step, each reading the earlier ones behind a stop-gradient.

Shapes: M viewed rows, A answered rows, N rows.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from easq.model.dense_losses import believed
from easq.model.methods.saqrec import Saqrec, past_of
from easq.model.objective import Losses, OrderScope, Supervision, behavior_loss
from easq.model.pooling import Inputs
from easq.model.scores import Scores

_LEAST_PROPENSITY = 0.05


class SaqrecObjective:
    """L_base + L_propensity + L_teacher + L_click + lambda1 L_pseudo."""

    reads_answers = True
    reads_labelled = False

    def __init__(
        self, model: Saqrec, satisfaction_weight: float, order_scope: OrderScope, num_options: int
    ) -> None:
        self._model, self._weight, self._order_scope = model, satisfaction_weight, order_scope
        self._best = num_options - 1

    def __call__(self, x: Inputs, lesson: Supervision) -> tuple[Scores, Losses]:
        """Return scores and losses of one step."""
        batch, questioned, past = lesson.batch, lesson.questioned, past_of(x)
        assert questioned is not None
        base = behavior_loss(self._model.base(x).served_N, batch, self._order_scope)
        answer_M = torch.from_numpy(batch.answer_M)
        num_viewed = len(answer_M)
        response_N = self._model.propensity.rows(x, past)
        propensity = _mean_cross_entropy(response_N[:num_viewed], (answer_M >= 0).float())
        row_A = torch.from_numpy(questioned.row_Q[questioned.place_A])
        teacher_N = self._model.teacher.rows(x, past)
        teacher = weighted_answers(
            teacher_N[row_A],
            torch.from_numpy(questioned.option_A) / self._best,
            response_N[row_A].detach().sigmoid(),
            torch.from_numpy(questioned.weight_A),
        )
        final = self._model.judge(x)
        click = behavior_loss(final.click_N, batch, self._order_scope)
        student_M = final.satisfaction_N[:num_viewed]
        label_M = pseudo_labels(student_M.detach(), teacher_N[:num_viewed].detach())
        label_M = believed(label_M, answer_M, torch.from_numpy(batch.answer_weight_M), self._best)
        pseudo = _mean_cross_entropy(student_M, label_M)
        satisfaction_Q = final.satisfaction_N.index_select(0, torch.from_numpy(questioned.row_Q))
        scores = Scores(final.click_N, satisfaction_Q, final.gate_NK, None)
        total = base + propensity + teacher + click + self._weight * pseudo
        others = {"base": base, "propensity": propensity, "teacher": teacher, "pseudo": pseudo}
        return scores, Losses(total, click, others=others)

    def learned(self) -> None:
        """Do nothing more."""


def weighted_answers(logit_A: Tensor, answer_A: Tensor, propensity_A: Tensor, weight_A: Tensor) -> Tensor:
    """Return the mean cross-entropy of answers, each by its weight over its chance, at least .05."""
    loss_A = functional.binary_cross_entropy_with_logits(
        logit_A, answer_A.float(), weight_A, reduction="none"
    )
    return (loss_A / propensity_A.clamp(min=_LEAST_PROPENSITY)).sum() / max(1, len(logit_A))


def pseudo_labels(student_M: Tensor, teacher_M: Tensor) -> Tensor:
    """Mix what student and teacher (logits) say: the more they differ, the more the student counts.

    w = BetaCDF(minmax(cross-entropy); 1/2, 1/2), which is 2/pi arcsin(sqrt(.)).
    """
    if not len(student_M):
        return student_M
    teacher_M = teacher_M.sigmoid()
    loss_M = functional.binary_cross_entropy_with_logits(student_M, teacher_M, reduction="none")
    span = (loss_M.max() - loss_M.min()).clamp(min=1e-12)
    weight_M = torch.asin(((loss_M - loss_M.min()) / span).clamp(0, 1).sqrt()) * 2 / math.pi
    return weight_M * student_M.sigmoid() + (1 - weight_M) * teacher_M


def _mean_cross_entropy(logit_M: Tensor, target_M: Tensor) -> Tensor:
    total = functional.binary_cross_entropy_with_logits(logit_M, target_M, reduction="sum")
    return total / max(1, len(logit_M))
