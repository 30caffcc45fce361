"""Which rows a step's losses read, and their weighted sum: L_main + lambda1 L_satis + lambda2 L_dpo.

Shapes: M rows of viewed requests, A new answers, Q rows that the satisfaction path scores, P pairs.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from easq.features.batch import Batch, Floats
from easq.learn.answer_rows import replayed_places
from easq.learn.labelled_views import Told
from easq.learn.replay_buffer import AnsweredRows
from easq.model.embedding import Grid
from easq.model.losses import dpo_loss, main_loss, normal_loss, satisfaction_loss
from easq.model.pairs import Ids, answer_pairs, list_pairs
from easq.model.scores import Scores
from easq.recipe.learning import Alignment

OrderScope = Literal["request", "viewer", "batch"]


@dataclass(frozen=True)
class Questioned:
    """The rows Q that the satisfaction path scores and the pairs of D+ among them.

    A pair weighs as much as its two rows together: the product of their weights, an unasked row's being 1.
    All rows of the answered requests stand first, so that an answer is measured inside its list,
    then the replayed ones, then rows that only a variant reads. `place_A` are the places in Q of the
    answered rows, `option_A` what was said and `weight_A` how much it counts.
    """

    row_Q: Ids
    better_P: Ids
    worse_P: Ids
    weight_P: Floats
    place_A: Ids
    option_A: Ids
    weight_A: Floats


def question_rows(
    batch: Batch,
    replayed: AnsweredRows,
    num_options: int,
    alignment: Alignment,
    bounded_A: Floats | None = None,
) -> Questioned:
    """Choose Q and D+ for a batch whose replayed rows are appended behind its own.

    `bounded_A` are the weights of the batch's own answers in the place of those that they were given.
    """
    num_rows, num_viewed = len(batch.rows.request_N), batch.num_viewed
    num_listed = num_rows - num_viewed
    replayed_A, num_replayed = replayed_places(replayed, batch.rows.candidate_NV.shape[1])
    row_Q = np.arange(num_viewed, num_rows + num_replayed)
    new_A = batch.answer_row_A - num_viewed
    place_A = np.concatenate([new_A, num_listed + replayed_A])
    user_A = np.concatenate([batch.user_B[batch.rows.request_N[batch.answer_row_A]], replayed.user_A])
    option_A = np.concatenate([batch.option_A, replayed.option_A])
    weight_A = np.concatenate([batch.weight_A if bounded_A is None else bounded_A, replayed.weight_A])
    used = np.arange(len(place_A))
    if alignment.uncertain == "drop":
        used = np.flatnonzero((option_A == 0) | (option_A == num_options - 1))
    better, worse = answer_pairs(user_A[used], option_A[used], alignment.scope)
    better_P, worse_P = place_A[used[better]], place_A[used[worse]]
    weight_P = weight_A[used[better]] * weight_A[used[worse]]
    if alignment.unasked == "request":
        said = np.full(num_listed, -1, np.int64)
        said[new_A] = batch.option_A
        better, worse = list_pairs(batch.rows.request_N[num_viewed:], said, num_options - 1)
        better_P, worse_P = np.concatenate([better_P, better]), np.concatenate([worse_P, worse])
        weight_R = np.ones(num_listed, np.float32)
        weight_R[new_A] = weight_A[: len(new_A)]
        weight_P = np.concatenate([weight_P, weight_R[better] * weight_R[worse]])
    if alignment.unasked == "distill" or alignment.teacher:
        row_Q = np.concatenate([row_Q, np.arange(num_viewed)])
    return Questioned(row_Q, better_P, worse_P, weight_P, place_A[used], option_A[used], weight_A[used])


@dataclass(frozen=True)
class Lesson:
    """What a step may learn from beside the inputs of its rows."""

    batch: Batch
    questioned: Questioned | None = None
    told: Told | None = None


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
    questioned: Questioned | None,
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


def _order_groups(batch: Batch, scope: OrderScope) -> tuple[Ids, Ids]:
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
