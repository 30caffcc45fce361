"""The three losses of EASQ as pure functions: tensors in, (loss, margins) out, fp32 inside.

Shapes: B requests, C candidates of the largest request, P pairs. Source: method.md section 3.
"""

import torch
from torch import Tensor
from torch.nn import functional

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
    """Return log(score), a score of zero being the smallest that counts."""
    return torch.log(score.float().clamp(min=_SMALLEST))


def _mean_of(loss_P: Tensor, weight_P: Tensor | None) -> Tensor:
    # By the number of pairs and not by their weight: a step of doubtful answers alone is to move little.
    weighted_P = loss_P if weight_P is None else loss_P * weight_P
    return weighted_P.sum() / max(1, loss_P.numel())
