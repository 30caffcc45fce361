"""Non-response: the chance that a view is answered, and the weights of answer pairs that correct for it.

Shapes: M viewed rows, A answered rows, P pairs of D+, Q rows that the satisfaction path scores.
"""

import torch
from torch import Tensor

from easq.features.batch import Batch
from easq.model.answer import AnswerNetwork
from easq.model.losses import answer_loss
from easq.model.objective import AnswerPairs
from easq.model.pooling import Inputs


def response_loss(network: AnswerNetwork, x: Inputs, batch: Batch) -> Tensor:
    """Return the cross-entropy of whether a view was answered; the network reads sg(x)."""
    logit_M = network(x.detach().first(batch.num_viewed))
    return answer_loss(logit_M, torch.from_numpy(batch.answer_M >= 0))


@torch.no_grad()
def pair_weights(network: AnswerNetwork, x: Inputs, pairs: AnswerPairs, floor: float) -> Tensor:
    """Return the weight of each pair of D+: the inverse chances of its answers, scaled to the mean 1.

    A row without an answer, which a variant of D+ may pair, has the weight of the mean answer.
    """
    row_A = torch.from_numpy(pairs.row_Q[pairs.place_A])
    weight_A = inverse(network(x.select(row_A)).sigmoid(), floor)
    weight_Q = torch.ones(len(pairs.row_Q))
    weight_Q[torch.from_numpy(pairs.place_A)] = weight_A
    weight_P = weight_Q[torch.from_numpy(pairs.better_P)] * weight_Q[torch.from_numpy(pairs.worse_P)]
    return weight_P / weight_P.mean().clamp(min=1e-12) if len(weight_P) else weight_P


def inverse(chance_A: Tensor, floor: float) -> Tensor:
    """Return 1 / max(chance, floor), scaled to the mean 1."""
    weight_A = 1 / chance_A.clamp(min=floor)
    return weight_A / weight_A.mean() if len(weight_A) else weight_A
