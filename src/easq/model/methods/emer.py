"""EMER (He et al. 2025, arXiv 2508.05093): one Transformer over the candidates and their predicted behaviors.

EMER reads no answers. EMER_S adds their pairs to the same score, or to a second head.
Shapes: B requests, C candidates of the largest, N rows, M viewed rows, A answered rows, K behaviors,
D hidden, O predicted orders.
"""

import copy
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, ClassVar

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from easq.features.batch import Batch
from easq.model.attention import CandidateTransformer, normalized_rank
from easq.model.dims import Dims
from easq.model.grid import Grid
from easq.model.lora import Projection
from easq.model.losses import main_loss
from easq.model.method import (
    EMBEDDINGS,
    AnswerUse,
    Moves,
    PairScope,
    Task,
    TrainableMethod,
    UnaskedPairs,
)
from easq.model.moe import PositiveHead
from easq.model.objective import Losses, Supervision, behavior_loss, pair_loss
from easq.model.pooling import Inputs, Pooling
from easq.model.scores import Scores
from easq.model.serving import RankingNetwork
from easq.recipe.recipe import Recipe
from easq.recipe.values import Count, Name, Weight, Width

_MOST = 10.0
"""The bound of a ratio of predictions and of an advantage."""


class Upstream(nn.Module):
    """Predicts each behavior of each row: the pxtr that a platform's earlier stage would supply."""

    def __init__(self, dims: Dims, num_behaviors: int) -> None:
        super().__init__()
        hidden = dims.hidden
        self.backbone = Projection(dims.viewer, dims.candidate, hidden)
        self.heads = nn.Sequential(nn.ReLU(), nn.Linear(hidden, num_behaviors))

    def forward(self, x: Inputs) -> Tensor:
        """Return a logit per row and behavior."""
        logit_NK: Tensor = self.heads(self.backbone(x))
        return logit_NK


class SetRanker(nn.Module):
    """Candidates with their pxtr and its rank in the request, compared by a Transformer."""

    def __init__(self, dims: Dims, *, num_behaviors: int, num_heads: int, num_layers: int) -> None:
        super().__init__()
        hidden = dims.hidden
        self.backbone = Projection(dims.viewer, dims.candidate, hidden)
        self.predicted = nn.Linear(2 * num_behaviors, hidden)
        self.transformer = CandidateTransformer(hidden, num_heads, num_layers)
        self.head = PositiveHead(hidden, dims.head, dims.eps)

    def forward(self, x: Inputs, pxtr_NK: Tensor) -> tuple[Tensor, Tensor]:
        """Return the score of each row, and the row behind it (N x D)."""
        grid = Grid.of(x.request_N, len(x.viewer_BV))
        is_row_BC = grid.spread(torch.ones(x.request_N.shape[0], dtype=torch.bool), False)
        pxtr_BCK = grid.spread(pxtr_NK)
        predicted_BCD = self.predicted(torch.cat([pxtr_BCK, normalized_rank(pxtr_BCK, is_row_BC)], 2))
        h_BCD = self.transformer(grid.spread(self.backbone(x)) + predicted_BCD, is_row_BC)
        h_ND = grid.gather(h_BCD)
        return self.head(h_ND), h_ND


class Emer(RankingNetwork):
    """Upstream predictions, the ranker in training, and the `serving` ranker: an older copy of it.

    With `second_head` satisfaction has a head of its own on the same Transformer, and the served score is
    the behavior score plus `satisfaction_share` times the satisfaction score. Otherwise one score does both.
    """

    def __init__(
        self,
        dims: Dims,
        *,
        num_behaviors: int,
        num_heads: int,
        num_layers: int,
        second_head: bool = False,
        satisfaction_share: float = 0.0,
    ) -> None:
        super().__init__()
        self.upstream = Upstream(dims, num_behaviors)
        self.ranker = SetRanker(dims, num_behaviors=num_behaviors, num_heads=num_heads, num_layers=num_layers)
        self.satisfaction = PositiveHead(dims.hidden, dims.head, dims.eps) if second_head else None
        self.serving = copy.deepcopy(self.ranker).requires_grad_(False)
        self.register_buffer("serving_age", torch.zeros(1))
        self.serving_age: Tensor
        self._share = satisfaction_share

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows, and the satisfaction of the rows that `answered_A` names."""
        return self.rank(x, self.upstream(x), answered_A)

    def rank(self, x: Inputs, logit_NK: Tensor, answered_A: Tensor | None) -> Scores:
        """Score with the given upstream logits, which are read but not trained from here."""
        behavior_N, h_ND = self.ranker(x, logit_NK.detach().sigmoid())
        no_gates = h_ND.new_zeros(h_ND.shape[0], 0)
        if self.satisfaction is None:
            satisfaction_A = None if answered_A is None else behavior_N.index_select(0, answered_A)
            return Scores(behavior_N, satisfaction_A, no_gates, None, behavior_N)
        satisfaction_N = self.satisfaction(h_ND)
        served_N = (behavior_N + self._share * satisfaction_N).detach()
        satisfaction_A = None if answered_A is None else satisfaction_N.index_select(0, answered_A)
        return Scores(served_N, satisfaction_A, no_gates, None, behavior_N)

    @torch.no_grad()
    def serving_scores(self, x: Inputs, logit_NK: Tensor) -> Tensor:
        """Return the scores of the serving ranker."""
        scores: Tensor = self.serving(x, logit_NK.sigmoid())[0]
        return scores

    @torch.no_grad()
    def renew_serving(self, steps: int) -> None:
        """Count a step; every `steps` steps the serving ranker becomes a copy of the current one."""
        self.serving_age += 1
        if self.serving_age >= steps:
            self.serving_age.zero_()
            self.serving.load_state_dict(self.ranker.state_dict())


Few = Annotated[int, Meta(ge=1, le=64)]


class EmerSettings(TrainableMethod, frozen=True, tag="emer"):
    """[method] kind = "emer".

    layers          of the Transformer.
    heads           of the Transformer; they divide model.hidden.
    watch           the behavior that stands for watch time: other predictions are divided by its own.
    top             K of the DCG whose ratio weighs a predicted order.
    serving_steps   steps after which the serving ranker becomes the current one [steps].
    """

    label: ClassVar[str] = "EMER"
    gradient_map: ClassVar[Mapping[str, Moves]] = {
        "main": Moves((*EMBEDDINGS, "model.ranker")),
        "predicted_orders": Moves((*EMBEDDINGS, "model.ranker")),
        "upstream": Moves((*EMBEDDINGS, "model.upstream")),
    }

    layers: Few = 1
    heads: Few = 4
    watch: Name | None = None
    top: Width = 5
    serving_steps: Count = 100

    def problems(self, recipe: Recipe) -> Iterator[str]:
        """Yield what is wrong with `watch` and `heads`."""
        yield from _problems(self, recipe)

    def network(self, task: Task, pooling: Pooling) -> Emer:
        """Return the untrained network."""
        return _network(self, task, pooling)

    def objective(self, task: Task, network: RankingNetwork) -> "EmerObjective":
        """Return what trains it."""
        assert isinstance(network, Emer)
        return EmerObjective(network, self, task)


class EmerSSettings(TrainableMethod, frozen=True, tag="emer_s"):
    """[method] kind = "emer_s": EMER, and the pairs of answers on the same score.

    layers                of the Transformer.
    heads                 of the Transformer; they divide model.hidden.
    watch                 the behavior that stands for watch time: other predictions are divided by its own.
    top                   K of the DCG whose ratio weighs a predicted order.
    serving_steps         steps after which the serving ranker becomes the current one [steps].
    satisfaction_weight   weight of the pairs D+ in the loss.
    scope, unasked        of D+, as in kind = "easq".
    list_length           candidates stored with a replayed answer, its own first; its score depends on them.
    """

    label: ClassVar[str] = "EMER_S"
    gradient_map: ClassVar[Mapping[str, Moves]] = {
        **EmerSettings.gradient_map,
        "satisfaction": Moves((*EMBEDDINGS, "model.ranker")),
    }

    layers: Few = 1
    heads: Few = 4
    watch: Name | None = None
    top: Width = 5
    serving_steps: Count = 100
    satisfaction_weight: Weight = 1.0
    scope: PairScope = "user_first"
    unasked: UnaskedPairs = "none"
    list_length: Width = 20

    @property
    def answer_use(self) -> AnswerUse:
        """How the method uses answers."""
        return AnswerUse(
            partners=self.scope != "batch",
            scope=self.scope,
            unasked=self.unasked,
            list_length=self.list_length,
        )

    def problems(self, recipe: Recipe) -> Iterator[str]:
        """Yield what is wrong with `watch` and `heads`."""
        yield from _problems(self, recipe)

    def network(self, task: Task, pooling: Pooling) -> Emer:
        """Return the untrained network."""
        return _network(self, task, pooling)

    def objective(self, task: Task, network: RankingNetwork) -> "EmerObjective":
        """Return what trains it."""
        assert isinstance(network, Emer)
        return EmerObjective(network, self, task, self.satisfaction_weight)


class EmerSHeadSettings(EmerSSettings, frozen=True, tag="emer_s_head"):
    """[method] kind = "emer_s_head": satisfaction has a head of its own on the same Transformer.

    satisfaction_share   served is the behavior score plus this times the satisfaction score.
    """

    label: ClassVar[str] = "EMER_S, two heads"
    gradient_map: ClassVar[Mapping[str, Moves]] = {
        **EmerSettings.gradient_map,
        "satisfaction": Moves((*EMBEDDINGS, "model.ranker", "model.satisfaction"), ("model.ranker.head",)),
    }

    satisfaction_share: Weight = 0.0

    def network(self, task: Task, pooling: Pooling) -> Emer:
        """Return the untrained network."""
        return _network(self, task, pooling, second_head=True, satisfaction_share=self.satisfaction_share)


def _problems(settings: EmerSettings | EmerSSettings, recipe: Recipe) -> Iterator[str]:
    names = [b.name for b in recipe.behaviors]
    if settings.watch is not None and settings.watch not in names:
        yield f"method.watch: got {settings.watch!r}; allowed are the behaviors: {', '.join(names)}"
    if recipe.model.hidden % settings.heads:
        yield (
            f"method.heads: got {settings.heads}; allowed: numbers that divide model.hidden "
            f"({recipe.model.hidden})"
        )


def _network(
    settings: EmerSettings | EmerSSettings,
    task: Task,
    pooling: Pooling,
    second_head: bool = False,
    satisfaction_share: float = 0.0,
) -> Emer:
    return Emer(
        Dims.of(task.sizes, pooling),
        num_behaviors=task.num_behaviors,
        num_heads=settings.heads,
        num_layers=settings.layers,
        second_head=second_head,
        satisfaction_share=satisfaction_share,
    )


class EmerObjective:
    """L_posterior + mean_o w_o L_o + lambda1 L_q, and the upstream heads' own loss.

    `order_O` numbers the behaviors whose predicted orders are learned, `watch` the one by which the others'
    predictions are divided, if any. w_o = DCG@`top` of the serving ranker / DCG@`top` of the current one.
    L_q is part of the loss if `satisfaction_weight` is not None.
    """

    def __init__(
        self,
        network: Emer,
        settings: "EmerSettings | EmerSSettings",
        task: Task,
        satisfaction_weight: float | None = None,
    ) -> None:
        names = [b.name for b in task.behaviors]
        self._network, self._order_scope = network, task.order_scope
        self._order_O = [k for k, b in enumerate(task.behaviors) if b.weight > 0]
        self._watch = None if settings.watch is None else names.index(settings.watch)
        self._top, self._serving_steps = settings.top, settings.serving_steps
        self._weight = satisfaction_weight

    def __call__(self, x: Inputs, supervision: Supervision) -> tuple[Scores, Losses]:
        """Return scores and losses of one step."""
        network, batch = self._network, supervision.batch
        logit_NK = network.upstream(x)
        row_Q = None if self._weight is None else torch.from_numpy(supervision.pairs.row_Q)
        scores = network.rank(x, logit_NK, row_Q)
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
        after_step = partial(network.renew_serving, self._serving_steps)
        if self._weight is None:
            return scores, Losses(total, main, others=others, after_step=after_step)
        assert scores.satisfaction_A is not None
        satisfaction = pair_loss(scores.satisfaction_A, supervision.pairs)
        total = total + self._weight * satisfaction
        return scores, Losses(total, main, satisfaction, others=others, after_step=after_step)

    def _predicted(self, x: Inputs, batch: Batch, logit_NK: Tensor, score_N: Tensor) -> Tensor:
        num_viewed = batch.num_viewed
        if not num_viewed:
            return score_N.sum() * 0
        serving_N = self._network.serving_scores(x, logit_NK)
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
