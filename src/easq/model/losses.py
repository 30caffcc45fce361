"""Losses as pure functions: tensors in, fp32 inside.

The losses of the paper come first and return the loss and its margins. The losses after them train on
estimated answers of all views, where only few views have an answer.
Shapes: B requests, C candidates of the largest request, P pairs, A answered rows, M viewed rows.
Source: docs/method.md section 3.
"""

import torch
from torch import Tensor
from torch.nn import functional

from easq.model.grid import Grid

_SMALLEST = 1e-12


def main_loss(score_BC: Tensor, level_BC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return L_main, its margins y_i - y_j, and the mask of B+: level_i > level_j in one request.

    Levels of empty places are NaN and pair with nothing. Without a pair the loss is zero.
    """
    margin_BCC = score_BC.float().unsqueeze(2) - score_BC.float().unsqueeze(1)
    pair_BCC = level_BC.unsqueeze(2) > level_BC.unsqueeze(1)
    # softplus(-m) is -logsigmoid(m); the mask goes in before the sum, so empty places add nothing.
    total = functional.softplus(-margin_BCC).mul(pair_BCC).sum()
    return total / pair_BCC.sum().clamp(min=1), margin_BCC, pair_BCC


def satisfaction_loss(
    better_P: Tensor, worse_P: Tensor, weight_P: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return L_satis over pairs of D+ and its margins s_i - s_j; without weights each pair counts 1."""
    margin_P = better_P.float() - worse_P.float()
    return _mean_of(-functional.logsigmoid(margin_P), weight_P), margin_P


def normal_loss(
    better_P: Tensor, worse_P: Tensor, variance_P: Tensor, weight_P: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return L_satis of scores that are means, and its margins (s_i - s_j) / sqrt(var_i + var_j).

    P(i > j) is Phi(margin); `variance_P` is var_i + var_j. Source: GaRM, arXiv 2508.15811.
    """
    margin_P = (better_P.float() - worse_P.float()) / variance_P.float().sqrt()
    return _mean_of(-torch.special.log_ndtr(margin_P), weight_P), margin_P


def dpo_loss(
    better_P: Tensor,
    worse_P: Tensor,
    reference_better_P: Tensor,
    reference_worse_P: Tensor,
    beta: float,
    weight_P: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return L_dpo of served scores against the live satisfaction expert, and its margins.

    The reference is read, never trained: sg(s).
    """
    policy_P = log_score(better_P) - log_score(worse_P)
    reference_P = log_score(reference_better_P.detach()) - log_score(reference_worse_P.detach())
    margin_P = beta * (policy_P - reference_P)
    return _mean_of(-functional.logsigmoid(margin_P), weight_P), margin_P


def log_score(score: Tensor) -> Tensor:
    """Return log(score), with scores bounded below by a tiny positive number."""
    return torch.log(score.float().clamp(min=_SMALLEST))


def _mean_of(loss_P: Tensor, weight_P: Tensor | None) -> Tensor:
    # Divided by the number of pairs, not by their weight: a step with only doubtful answers must move little.
    weighted_P = loss_P if weight_P is None else loss_P * weight_P
    return weighted_P.sum() / max(1, loss_P.numel())


def answer_loss(logit_A: Tensor, answer_A: Tensor, weight_A: Tensor | None = None) -> Tensor:
    """Return the cross-entropy of answers between 0 (worst option) and 1 (best option); 0 without answers.

    Each answer counts by its weight, by default 1. The sum is divided by the number of answers.
    """
    total = functional.binary_cross_entropy_with_logits(logit_A, answer_A.float(), weight_A, reduction="sum")
    return total / max(1, len(answer_A))


def gap_loss(score_M: Tensor, estimate_M: Tensor, request_M: Tensor) -> Tensor:
    """Return -log sigmoid(y_i - y_j) over the pairs of a request, weighted by the estimated gap of i over j.

    A pair with equal estimates has the weight 0, so an uninformed imputer has little effect.
    """
    if not len(request_M):
        return score_M.sum()
    grid = Grid.of(request_M, int(request_M[-1]) + 1)
    score_BC, estimate_BC = grid.spread(score_M), grid.spread(estimate_M, float("nan"))
    gap_BCC = (estimate_BC.unsqueeze(2) - estimate_BC.unsqueeze(1)).nan_to_num(0.0).clamp(min=0)
    loss_BCC = functional.softplus(score_BC.unsqueeze(1) - score_BC.unsqueeze(2))
    return (gap_BCC * loss_BCC).sum() / gap_BCC.sum().clamp(min=1e-6)


def estimated_answers(predicted_M: Tensor, answer_M: Tensor, weight_M: Tensor, best: int) -> Tensor:
    """Return the estimated answer of each view, 0 to 1: its answer if there is one, else the prediction.

    `answer_M` is -1 without an answer. An answer with a weight below 1 is mixed with the prediction.
    """
    return torch.lerp(predicted_M, answer_M.float() / best, weight_M * (answer_M >= 0))
