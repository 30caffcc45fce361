"""Losses on what is believed of every view, where answers are known of few.

Shapes: A answered rows, M viewed rows, B requests, C candidates of the largest.
"""

import torch
from torch import Tensor
from torch.nn import functional

from easq.model.grid import Grid


def answer_loss(logit_A: Tensor, answer_A: Tensor, weight_A: Tensor | None = None) -> Tensor:
    """Return the cross-entropy of answers from 0, the worst option, to 1, the best; without any, zero.

    Each counts by its weight, or 1; the sum is over the number of answers.
    """
    total = functional.binary_cross_entropy_with_logits(logit_A, answer_A.float(), weight_A, reduction="sum")
    return total / max(1, len(answer_A))


def gap_loss(score_M: Tensor, believed_M: Tensor, request_M: Tensor) -> Tensor:
    """Return -log sigmoid(y_i - y_j) over the pairs of a request, weighted by what i is believed above j.

    A pair that is believed equal counts nothing, so an imputer that knows nothing says little.
    """
    if not len(request_M):
        return score_M.sum()
    grid = Grid.of(request_M, int(request_M[-1]) + 1)
    score_BC, believed_BC = grid.spread(score_M), grid.spread(believed_M, float("nan"))
    gap_BCC = (believed_BC.unsqueeze(2) - believed_BC.unsqueeze(1)).nan_to_num(0.0).clamp(min=0)
    loss_BCC = functional.softplus(score_BC.unsqueeze(1) - score_BC.unsqueeze(2))
    return (gap_BCC * loss_BCC).sum() / gap_BCC.sum().clamp(min=1e-6)


def believed(predicted_M: Tensor, answer_M: Tensor, weight_M: Tensor, best: int) -> Tensor:
    """Return what is believed of each view, 0 to 1: the answer where there is one, else the prediction.

    `answer_M` is -1 without an answer. An answer of a weight below 1 leaves the rest to the prediction.
    """
    return torch.lerp(predicted_M, answer_M.float() / best, weight_M * (answer_M >= 0))
