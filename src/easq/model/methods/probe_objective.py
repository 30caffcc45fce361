"""What the probe learns from a step: behaviour, each behaviour's chance, and answers under a normal prior."""

import torch
from torch import Tensor
from torch.nn import functional

from easq.features.batch import Batch
from easq.model.dense_losses import answer_loss
from easq.model.methods.probe import Probe
from easq.model.objective import Losses, OrderScope, Supervision, behavior_loss
from easq.model.pairwise_accuracy import first_levels
from easq.model.pooling import Inputs
from easq.model.scores import Scores

_FIRST = 3


class ProbeObjective:
    """L_main, the cross-entropy of each behaviour, and that of answers with a ridge.

    Each part trains parameters of its own. `ridge` is divided by the answers seen so far, as in the sum
    over all of them, so with few answers the probe says little.
    """

    reads_answers = True
    reads_labelled = False

    def __init__(self, model: Probe, ridge: float, order_scope: OrderScope, num_options: int) -> None:
        self._model, self._ridge, self._order_scope = model, ridge, order_scope
        self._best = num_options - 1
        self._seen: tuple[float, float, float] | None = None
        self._new = 0

    def __call__(self, x: Inputs, lesson: Supervision) -> tuple[Scores, Losses]:
        """Return scores and losses of one step."""
        model, batch, questioned = self._model, lesson.batch, lesson.questioned
        assert questioned is not None
        scores: Scores = model(x, torch.from_numpy(questioned.row_Q))
        assert scores.behavior_N is not None
        assert scores.behavior_logit_NK is not None
        assert scores.satisfaction_A is not None
        main = behavior_loss(scores.behavior_N, batch, self._order_scope)
        behavior_MK = torch.from_numpy(batch.behavior_MK).float()
        heads = functional.binary_cross_entropy_with_logits(
            scores.behavior_logit_NK[: batch.num_viewed], behavior_MK, reduction="sum"
        ) / max(1, batch.num_viewed)
        answers = answer_loss(
            scores.satisfaction_A[torch.from_numpy(questioned.place_A)],
            torch.from_numpy(questioned.option_A) / self._best,
            torch.from_numpy(questioned.weight_A),
        )
        self._new = len(batch.option_A)
        prior = self._ridge * model.penalty() / max(1.0, float(model.answers) + self._new)
        self._seen = _first(batch, scores.served_N, scores.behavior_N)
        total = main + heads + answers + prior
        return scores, Losses(total, main, answers, others={"heads": heads, "prior": prior})

    def learned(self) -> None:
        """Count answers, and let the price hear of the step."""
        self._model.answers += self._new
        if self._model.price is not None and self._seen is not None:
            self._model.price.observe(*self._seen)


def _first(batch: Batch, served_N: Tensor, behavior_N: Tensor) -> tuple[float, float, float]:
    """Return the summed level of the first of each request, by served and by own score, and how many."""
    request_M = batch.rows.request_N[: batch.num_viewed]
    sums = [
        first_levels(request_M, batch.level_M, score_N.detach().numpy(), _FIRST)
        for score_N in (served_N, behavior_N)
    ]
    return float(sums[0][0].sum()), float(sums[1][0].sum()), float(sums[0][1].sum())
