"""Which rows a step's losses read, and their weighted sum: L_main + lambda1 L_satis + lambda2 L_dpo.

Shapes: M rows of viewed requests, A new answers, Q rows that the satisfaction path scores, P pairs.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from easq.arrays import F32, I64
from easq.features.batch import Batch
from easq.model.grid import Grid
from easq.model.losses import dpo_loss, main_loss, normal_loss, satisfaction_loss
from easq.model.scores import Scores
from easq.recipe.learning import Alignment

OrderScope = Literal["request", "viewer", "batch"]


@dataclass(frozen=True)
class AnswerPairs:
    """The rows Q that the satisfaction path scores and the pairs of D+ among them.

    A pair weighs as much as its two rows together: the product of their weights, an unasked row's being 1.
    All rows of the answered requests stand first, so that an answer is measured inside its list,
    then the replayed ones, then rows that only a variant reads. `place_A` are the places in Q of the
    answered rows, `option_A` what was said and `weight_A` how much it counts.
    """

    row_Q: I64
    better_P: I64
    worse_P: I64
    weight_P: F32
    place_A: I64
    option_A: I64
    weight_A: F32


@dataclass(frozen=True)
class LabelledRows:
    """Rows of a step whose behaviour and answer are known: the batch's own first, then replayed ones."""

    row_T: Tensor
    behavior_TK: Tensor
    option_T: Tensor
    weight_T: Tensor


@dataclass(frozen=True)
class Supervision:
    """What a step may learn from beside the inputs of its rows."""

    batch: Batch
    questioned: AnswerPairs | None = None
    told: LabelledRows | None = None


@dataclass(frozen=True)
class Losses:
    """The step's losses; `total` is what is minimised. `others` are those of one method alone."""

    total: Tensor
    main: Tensor
    satisfaction: Tensor | None = None
    dpo: Tensor | None = None
    others: dict[str, Tensor] = field(default_factory=dict)

    def named(self) -> dict[str, Tensor]:
        """Return each loss by its name."""
        known = {"main": self.main, "satisfaction": self.satisfaction, "dpo": self.dpo}
        return {name: loss for name, loss in (known | self.others).items() if loss is not None}

    def plus(self, name: str, loss: Tensor) -> "Losses":
        """Return the losses with one more, of a part that only trains itself."""
        return replace(self, total=self.total + loss, others=self.others | {name: loss})


def behavior_loss(score_N: Tensor, batch: Batch, order_scope: OrderScope) -> Tensor:
    """Return L_main of a score over B+."""
    row_M, group_M = _order_groups(batch, order_scope)
    grid = Grid.of(torch.from_numpy(group_M), int(group_M[-1]) + 1 if batch.num_viewed else 0)
    level_BC = grid.spread(torch.from_numpy(batch.level_M[row_M]), float("nan"))
    score_BC = grid.spread(score_N.index_select(0, torch.from_numpy(row_M)))
    return main_loss(score_BC, level_BC)[0]


def losses(
    scores: Scores,
    batch: Batch,
    questioned: AnswerPairs | None,
    alignment: Alignment,
    order_scope: OrderScope = "request",
    response_P: Tensor | None = None,
) -> Losses:
    """Return the losses of one step; without `questioned` only the behaviour's.

    `response_P` are weights of the pairs of D+ in L_satis, beside those of their answers.
    """
    num_viewed = batch.num_viewed
    main = behavior_loss(scores.served_N, batch, order_scope)
    if questioned is None or scores.satisfaction_A is None:
        return Losses(main, main)
    better_P, worse_P = torch.from_numpy(questioned.better_P), torch.from_numpy(questioned.worse_P)
    served_Q = scores.served_N.index_select(0, torch.from_numpy(questioned.row_Q))
    satisfaction_Q = scores.satisfaction_A
    better_Q, worse_Q = satisfaction_Q[better_P], satisfaction_Q[worse_P]
    weight_P = torch.from_numpy(questioned.weight_P)
    counted_P = weight_P if response_P is None else weight_P * response_P
    if scores.variance_A is None:
        satisfaction, _ = satisfaction_loss(better_Q, worse_Q, counted_P)
    else:
        variance_P = scores.variance_A[better_P] + scores.variance_A[worse_P]
        satisfaction, _ = normal_loss(better_Q, worse_Q, variance_P, counted_P)
    if alignment.unasked == "distill":
        request_M = torch.from_numpy(batch.rows.request_N[:num_viewed])
        better, worse = _distilled(satisfaction_Q, len(questioned.row_Q) - num_viewed, request_M)
        better_P, worse_P = torch.cat([better_P, better]), torch.cat([worse_P, worse])
        weight_P = torch.cat([weight_P, torch.ones(len(better))])
    if scores.variance_A is not None:
        weight_P = weight_P * _sureness(satisfaction_Q, scores.variance_A, better_P, worse_P)
    dpo, _ = dpo_loss(
        served_Q[better_P],
        served_Q[worse_P],
        satisfaction_Q[better_P],
        satisfaction_Q[worse_P],
        alignment.beta,
        weight_P,
    )
    total = main + alignment.satisfaction_weight * satisfaction + alignment.dpo_weight * dpo
    return Losses(total, main, satisfaction, dpo)


def _sureness(mean_Q: Tensor, variance_Q: Tensor, better_P: Tensor, worse_P: Tensor) -> Tensor:
    """Return 2 Phi - 1 of each pair, 0 where the experts hold the other order: how hard L_dpo pulls."""
    spread_P = (variance_Q[better_P] + variance_Q[worse_P]).detach().sqrt()
    margin_P = (mean_Q[better_P] - mean_Q[worse_P]).detach() / spread_P
    chance_P: Tensor = torch.special.ndtr(margin_P)
    return (2 * chance_P - 1).clamp(min=0)


def _order_groups(batch: Batch, scope: OrderScope) -> tuple[I64, I64]:
    """Return the viewed rows, those to be compared with each other side by side, and their group."""
    row_M = np.arange(batch.num_viewed)
    request_M = batch.rows.request_N[: batch.num_viewed]
    if scope == "request":
        return row_M, request_M
    if scope == "batch":
        return row_M, np.zeros_like(row_M)
    viewer_M = np.unique(batch.user_B[request_M], return_inverse=True)[1]
    row_M = np.argsort(viewer_M, kind="stable")
    return row_M, viewer_M[row_M]


def _distilled(satisfaction_Q: Tensor, start: int, request_M: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of viewed rows of one request in the order of the satisfaction expert."""
    grid = Grid.of(request_M, int(request_M[-1]) + 1 if len(request_M) else 0)
    score_BC = grid.spread(satisfaction_Q.detach()[start:], float("nan"))
    row_BC = grid.spread(torch.arange(start, len(satisfaction_Q)), -1)
    request, better, worse = torch.nonzero(score_BC.unsqueeze(2) > score_BC.unsqueeze(1), as_tuple=True)
    return row_BC[request, better], row_BC[request, worse]
