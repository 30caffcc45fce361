"""EMER's losses: behaviour order, predicted orders weighted by their advantage, and answers (EMER_S).

Shapes: B requests, C candidates of the largest, M viewed rows, N rows, K behaviours, O predicted orders.
"""

import torch
from torch import Tensor
from torch.nn import functional

from easq.features.batch import Batch
from easq.model.grid import Grid
from easq.model.losses import main_loss, satisfaction_loss
from easq.model.methods.emer import Emer
from easq.model.objective import Losses, OrderScope, Supervision, behavior_loss
from easq.model.pooling import Inputs
from easq.model.scores import Scores

_MOST = 10.0
"""The bound of a ratio of predictions and of an advantage."""


class EmerObjective:
    """L_posterior + mean_o w_o L_o + lambda1 L_q, and the upstream heads' own loss.

    `order_O` numbers the behaviours whose predicted orders are learned, `watch` the one by which the others'
    predictions are divided, if any. w_o = DCG@`top` of the serving ranker / DCG@`top` of the current one.
    """

    reads_labelled = False

    def __init__(
        self,
        model: Emer,
        satisfaction_weight: float,
        order_scope: OrderScope,
        order_O: list[int],
        watch: int | None,
        top: int,
        serving_steps: int,
        reads_answers: bool,
    ) -> None:
        self._model, self._weight, self._order_scope = model, satisfaction_weight, order_scope
        self._order_O, self._watch = order_O, watch
        self._top, self._serving_steps = top, serving_steps
        self.reads_answers = reads_answers

    def __call__(self, x: Inputs, lesson: Supervision) -> tuple[Scores, Losses]:
        """Return scores and losses of one step."""
        batch, questioned = lesson.batch, lesson.questioned
        logit_NK = self._model.upstream(x)
        row_Q = None if questioned is None else torch.from_numpy(questioned.row_Q)
        scores = self._model.rank(x, logit_NK, row_Q)
        assert scores.behavior_N is not None
        main = behavior_loss(scores.behavior_N, batch, self._order_scope)
        num_viewed = batch.num_viewed
        behavior_MK = torch.from_numpy(batch.behavior_MK).float()
        upstream = (
            functional.binary_cross_entropy_with_logits(logit_NK[:num_viewed], behavior_MK)
            if num_viewed
            else logit_NK.sum() * 0
        )
        predicted = self._predicted(x, batch, logit_NK.detach(), scores.behavior_N)
        total = main + predicted + upstream
        others = {"predicted_orders": predicted, "upstream": upstream}
        if questioned is None:
            return scores, Losses(total, main, others=others)
        assert scores.satisfaction_A is not None
        satisfaction, _ = satisfaction_loss(
            scores.satisfaction_A[torch.from_numpy(questioned.better_P)],
            scores.satisfaction_A[torch.from_numpy(questioned.worse_P)],
            torch.from_numpy(questioned.weight_P),
        )
        return scores, Losses(total + self._weight * satisfaction, main, satisfaction, others=others)

    def learned(self) -> None:
        """Let the serving ranker follow at its intervals."""
        self._model.grow_old(self._serving_steps)

    def _predicted(self, x: Inputs, batch: Batch, logit_NK: Tensor, score_N: Tensor) -> Tensor:
        num_viewed = batch.num_viewed
        if not num_viewed:
            return score_N.sum() * 0
        serving_N = self._model.serving_scores(x, logit_NK)
        request_M = x.request_N[:num_viewed]
        grid = Grid.of(request_M, int(request_M[-1]) + 1)
        order_BCO = grid.spread(
            predicted_orders(logit_NK[:num_viewed], self._order_O, self._watch), float("nan")
        )
        score_BC = grid.spread(score_N[:num_viewed])
        serving_BC = grid.spread(serving_N[:num_viewed])
        ratio_O = dcg(serving_BC, order_BCO, self._top) / dcg(score_BC.detach(), order_BCO, self._top)
        weight_O = ratio_O.clamp(1 / _MOST, _MOST)
        losses = [main_loss(score_BC, order_BC)[0] for order_BC in order_BCO.unbind(2)]
        return (weight_O * torch.stack(losses)).mean()


def predicted_orders(logit_NK: Tensor, order_O: list[int], watch: int | None) -> Tensor:
    """Return what each predicted order ranks by: pxtr, of interactions pxtr / p_watch where it is known."""
    pxtr_NK = logit_NK.sigmoid()
    if watch is None:
        return pxtr_NK[:, order_O]
    ratio_NK = (pxtr_NK / pxtr_NK[:, watch : watch + 1].clamp(min=1e-6)).clamp(max=_MOST)
    ratio_NK[:, watch] = pxtr_NK[:, watch]
    return ratio_NK[:, order_O]


def dcg(score_BC: Tensor, gain_BCO: Tensor, top: int) -> Tensor:
    """Return DCG@`top` of the scores' ranking by each gain, the mean over requests; NaN is no row."""
    is_row_BC = ~gain_BCO[:, :, 0].isnan()
    order_BC = score_BC.masked_fill(~is_row_BC, float("-inf")).argsort(dim=1, descending=True, stable=True)
    place_BT = order_BC[:, :top]
    gain_BTO = gain_BCO.nan_to_num(0.0).gather(1, place_BT.unsqueeze(2).expand(-1, -1, gain_BCO.shape[2]))
    discount_T = 1 / torch.log2(torch.arange(place_BT.shape[1]) + 2.0)
    return (gain_BTO * discount_T.view(1, -1, 1)).sum(1).mean(0)
