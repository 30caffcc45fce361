"""EASQ, the paper's form: a satisfaction path that answers train beside a main path that behavior trains.

Shapes: N rows, A answered rows, D hidden, K1 and K2 experts, Q rows that the satisfaction path scores,
P pairs, M viewed rows, B requests, C candidates. Source: docs/method.md section 3.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor, nn

from easq.features.batch import Batch
from easq.model.answer import AnswerNetwork
from easq.model.answer_signals import answer_signals
from easq.model.dims import Dims
from easq.model.grid import Grid
from easq.model.lora import LowRankPath, Projection
from easq.model.losses import dpo_loss, normal_loss, satisfaction_loss
from easq.model.method import EMBEDDINGS, AnswerPath, AnswerUse, Moves, PairScope, RoutedMethod, Task, Unasked
from easq.model.methods.behavior_2026_11 import BehaviorTower
from easq.model.moe import RELU, Activation, PositiveHead, Routing, Tower
from easq.model.objective import AnswerPairs, Losses, OrderScope, Supervision, behavior_loss
from easq.model.pairwise_accuracy import pairs_right
from easq.model.pooling import Inputs, Pooling
from easq.model.pull_controller import PullController
from easq.model.response import pair_weights, response_loss
from easq.model.scores import Scores
from easq.model.serving import MergedTower, RankingNetwork
from easq.model.teacher import with_teacher
from easq.recipe.recipe import Recipe
from easq.recipe.values import Rate, Share, Weight, Width


class Easq(RankingNetwork):
    """Backbone, low-rank path and two towers.

    rank                      rank of the low-rank path. With 0 there is no such path, both towers read h, and
                              answers train the satisfaction tower alone.
    answers_move_embeddings   the low-rank path reads x itself instead of sg(x).
    has_variance              satisfaction is a mean and a variance.
    teacher, response, reference, price   for training only: the privileged teacher, the network of the
                              chance of a response, the behavior-only reference with the controller of its
                              price. The towers do not read them.
    """

    def __init__(
        self,
        dims: Dims,
        *,
        rank: int,
        expert_width: int,
        num_experts: int,
        num_satisfaction_experts: int,
        answers_move_embeddings: bool = False,
        lora_init: Literal["kaiming", "normal"] = "kaiming",
        routing: Routing = RELU,
        activation: Activation = "softplus",
        has_variance: bool = False,
        teacher: AnswerNetwork | None = None,
        response: AnswerNetwork | None = None,
        reference: nn.Module | None = None,
        price: PullController | None = None,
    ) -> None:
        super().__init__()
        hidden, head, eps = dims.hidden, dims.head, dims.eps
        self.backbone = Projection(dims.viewer, dims.candidate, hidden)
        self.low_rank = LowRankPath(dims.viewer, dims.candidate, hidden, rank, lora_init) if rank else None
        self.main = Tower(hidden, expert_width, num_experts, head, eps, routing, activation)
        self.satisfaction = Tower(
            hidden, expert_width, num_satisfaction_experts, head, eps, routing, activation
        )
        self.variance = PositiveHead(expert_width, head, eps, activation) if has_variance else None
        self.teacher, self.response = teacher, response
        self.reference, self.price = reference, price
        self._answers_move_embeddings = answers_move_embeddings

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows, and the satisfaction of the rows that `answered_A` names.

        The stop-gradients decide which loss trains which part: L_main and L_dpo, of the served score, reach
        embeddings, backbone and main tower; L_satis reaches the low-rank path and its tower.
        """
        h_ND = self.backbone(x)
        h_main_ND, size = h_ND, None
        if self.low_rank is not None:
            with torch.no_grad():
                lora_ND = self.low_rank(x)
                size = lora_ND.norm() / h_ND.norm().clamp(min=1e-12)
            h_main_ND = h_ND + lora_ND
        served_N, gate_NK = self.main(h_main_ND)
        if answered_A is None:
            return Scores(served_N, None, gate_NK, None)
        h_satis_AD = h_ND.detach().index_select(0, answered_A)
        if self.low_rank is not None:
            # Only answered rows train the low-rank path, so only theirs are computed with a gradient.
            x_A = x.select(answered_A)
            h_satis_AD = h_satis_AD + self.low_rank(x_A if self._answers_move_embeddings else x_A.detach())
        mixture_AW, satisfaction_gate_AK = self.satisfaction.experts(h_satis_AD)
        satisfaction_A = self.satisfaction.head(mixture_AW)
        variance_A = None if self.variance is None else self.variance(mixture_AW)
        return Scores(
            served_N, satisfaction_A, gate_NK, satisfaction_gate_AK, variance_A=variance_A, low_rank_size=size
        )

    def merged(self) -> MergedTower:
        """Return the serving form: W0 + B A and the main tower, without the satisfaction experts."""
        increment = 0.0 if self.low_rank is None else self.low_rank.product()
        return MergedTower(self.backbone.weight + increment, self.backbone.viewer_dim, self.main)


class EasqSettings(RoutedMethod, frozen=True, tag="easq"):
    """[method] kind = "easq".

    experts                         K1, of the served score.
    satisfaction_experts            K2, of the satisfaction score.
    activation                      of experts and heads; softplus is the paper's.
    rank                            of the low-rank path; 0: there is none.
    lora_init                       initialization of the A of the low-rank path; its B starts at zero.
    answers_move_embeddings         the low-rank path reads x instead of sg(x).
    satisfaction_weight             lambda1, of L_satis.
    dpo_weight                      lambda2, of L_dpo.
    beta                            of L_dpo.
    answer_rate                     of the answer path's own Adam: low-rank path, satisfaction experts, gate
                                    and head. It steps only when L_satis has a gradient. 0: the path shares
                                    the optimizer of the main path, as until 0.2.
    answers_per_step                answers wait until so many stand together, and are then learned in one
                                    step, each once. 0: each is learned in the step in which it comes.
    scope      of D+. user_first: pairs of one viewer, else of the step; user: one viewer's; batch: any two.
    unasked    none: answered rows only; request: an answered row also against the unasked rows of its request
               (satisfied above, dissatisfied below); distill: the DPO term also sees behavior rows of one
               request, ordered by the satisfaction expert.
    satisfaction_variance   the satisfaction experts give a mean and a variance: an answer's order has the
               chance Phi, and L_dpo pulls a pair as far as they are sure of it.
    propensity_weights      a pair of L_satis weighs 1 / (p_i p_j), p the modeled chance that the view is
               answered, at least `propensity_floor`; the weights of a step have the mean 1.
    propensity_floor        least p of `propensity_weights`.
    teacher    a small network predicts the answer from the view and the behavior that followed it. It labels
               the unasked views, which L_satis and L_dpo then learn too. It is never served.
    teacher_weight          of the views that the teacher labels; answers have 1.
    pair_accuracy_budget    share of a behavior-only reference's pair accuracy above chance that the served
               order may lose: lambda2 begins at `dpo_weight` and goes as high as this allows. 0: it stays.
    """

    label: ClassVar[str] = "EASQ"
    gradient_map: ClassVar[Mapping[str, Moves]] = {
        "main": Moves((*EMBEDDINGS, "model.backbone", "model.main")),
        "satisfaction": Moves(("model.low_rank", "model.satisfaction")),
        "dpo": Moves((*EMBEDDINGS, "model.backbone", "model.main")),
    }

    activation: Activation = "softplus"
    satisfaction_experts: Width = 3
    rank: Annotated[int, Meta(ge=0, le=4096)] = 8
    lora_init: Literal["kaiming", "normal"] = "kaiming"
    answers_move_embeddings: bool = False
    satisfaction_weight: Weight = 1.0
    dpo_weight: Weight = 0.3
    beta: Rate = 1.0
    answer_rate: Weight = 1e-3
    answers_per_step: Annotated[int, Meta(ge=0, le=4096)] = 0
    scope: PairScope = "user_first"
    unasked: Unasked = "none"
    satisfaction_variance: bool = False
    propensity_weights: bool = False
    propensity_floor: Annotated[float, Meta(gt=0, le=1)] = 1e-5
    teacher: bool = False
    teacher_weight: Weight = 1.0
    pair_accuracy_budget: Share = 0.0

    @property
    def answer_use(self) -> AnswerUse:
        """How the method uses answers."""
        return AnswerUse(
            partners=self.scope != "batch",
            scope=self.scope,
            unasked=self.unasked,
            reads_viewed=self.unasked == "distill" or self.teacher,
            labelled=self.teacher,
            wait=self.answers_per_step,
            replays=not self.answers_per_step,
        )

    @property
    def unread_keys(self) -> tuple[str, ...]:
        """The number of replayed answers, where answers wait and each is learned once."""
        return ("answers.replayed",) if self.answers_per_step else ()

    @property
    def answer_path(self) -> AnswerPath | None:
        """What answers train by an optimizer of its own."""
        parts = ("model.low_rank", "model.satisfaction", "model.variance")
        return AnswerPath(parts, self.answer_rate) if self.answer_rate else None

    @property
    def num_experts(self) -> tuple[int, int]:
        """K1 and K2."""
        return self.experts, self.satisfaction_experts

    def problems(self, recipe: Recipe) -> Iterator[str]:
        """Yield a problem if the rank is too large."""
        hidden, width = recipe.model.hidden, recipe.model.dim * len(recipe.features)
        if self.rank >= min(width, hidden):
            yield (
                f"method.rank: got {self.rank}; allowed: 0 to {min(width, hidden) - 1}, below both "
                f"model.hidden ({hidden}) and the width of all features ({width})"
            )

        if self.answers_per_step and self.unasked == "request":
            yield (
                f"method.answers_per_step: got {self.answers_per_step} with unasked = 'request', which pairs "
                "an answer with the rows of its request, and these do not wait; allowed: 0"
            )

    def without_effect(self) -> Iterator[str]:
        """Yield a warning for each setting that another one switches off."""
        yield from super().without_effect()
        for name, is_read, reader in (
            ("propensity_floor", self.propensity_weights, "method.propensity_weights = true"),
            ("teacher_weight", self.teacher, "method.teacher = true"),
            ("pair_accuracy_budget", self.dpo_weight > 0, "method.dpo_weight above 0"),
            ("beta", self.dpo_weight > 0, "method.dpo_weight above 0"),
            ("lora_init", self.rank > 0, "method.rank above 0"),
            ("answers_move_embeddings", self.rank > 0, "method.rank above 0"),
        ):
            value = getattr(self, name)
            if value != getattr(EasqSettings(), name) and not is_read:
                yield f"method.{name} = {value!r} has no effect: only {reader} reads it"

    def network(self, task: Task, pooling: Pooling) -> Easq:
        """Return the untrained network, with the parts beyond the paper that are switched on."""
        dims, routing = Dims.of(task.sizes, pooling), self.how_routed
        teacher = AnswerNetwork(dims, self.expert_width, task.num_behaviors) if self.teacher else None
        response = AnswerNetwork(dims, self.expert_width) if self.propensity_weights else None
        reference = price = None
        if self.pair_accuracy_budget:
            reference = BehaviorTower(
                dims,
                expert_width=self.expert_width,
                num_experts=self.experts,
                routing=routing,
                activation=self.activation,
            )
            price = PullController(self.pair_accuracy_budget)
        return Easq(
            dims,
            rank=self.rank,
            expert_width=self.expert_width,
            num_experts=self.experts,
            num_satisfaction_experts=self.satisfaction_experts,
            answers_move_embeddings=self.answers_move_embeddings,
            lora_init=self.lora_init,
            routing=routing,
            activation=self.activation,
            has_variance=self.satisfaction_variance,
            teacher=teacher,
            response=response,
            reference=reference,
            price=price,
        )

    def objective(self, task: Task, network: RankingNetwork) -> "EasqObjective":
        """Return the objective that trains the network."""
        assert isinstance(network, Easq)
        return EasqObjective(network, self, task.order_scope, task.best)


class EasqObjective:
    """L_main + lambda1 L_satis + lambda2 L_dpo, and the parts beyond the paper that are switched on."""

    def __init__(self, network: Easq, settings: EasqSettings, order_scope: OrderScope, best: int) -> None:
        self._network, self._settings, self._order_scope, self._best = network, settings, order_scope, best

    def __call__(self, x: Inputs, supervision: Supervision) -> tuple[Scores, Losses]:
        """Return scores and losses of one step."""
        network, settings, batch, pairs = self._network, self._settings, supervision.batch, supervision.pairs
        dpo_weight = settings.dpo_weight
        if network.price is not None:
            dpo_weight *= float(network.price.factor)
        scores: Scores = network(x, torch.from_numpy(pairs.row_Q))
        weight_P = None
        if network.response is not None:
            weight_P = pair_weights(network.response, x, pairs, settings.propensity_floor)
        losses = easq_losses(
            scores,
            batch,
            pairs,
            satisfaction_weight=settings.satisfaction_weight,
            dpo_weight=dpo_weight,
            beta=settings.beta,
            distills=settings.unasked == "distill",
            order_scope=self._order_scope,
            response_P=weight_P,
        )
        if network.response is not None:
            losses = losses.plus("response", response_loss(network.response, x, batch))
        if network.teacher is not None:
            losses = with_teacher(
                losses,
                scores,
                x,
                supervision,
                network.teacher,
                best=self._best,
                beta=settings.beta,
                satisfaction_weight=settings.satisfaction_weight,
                dpo_weight=dpo_weight,
                teacher_weight=settings.teacher_weight,
            )
        if network.reference is not None:
            losses = self._with_reference(losses, scores, x, batch)
        return scores, replace(losses, signals=answer_signals(scores, pairs))

    def _with_reference(self, losses: Losses, scores: Scores, x: Inputs, batch: Batch) -> Losses:
        network = self._network
        assert network.reference is not None and network.price is not None
        reference: Scores = network.reference(x.detach())
        own = behavior_loss(reference.served_N, batch, self._order_scope)
        observed = _pairs_right(batch, scores.served_N, reference.served_N)
        return replace(losses.plus("reference", own), after_step=partial(network.price.observe, *observed))


def easq_losses(
    scores: Scores,
    batch: Batch,
    pairs: AnswerPairs,
    *,
    satisfaction_weight: float = 1.0,
    dpo_weight: float = 0.3,
    beta: float = 1.0,
    distills: bool = False,
    order_scope: OrderScope = "request",
    response_P: Tensor | None = None,
) -> Losses:
    """Return L_main + lambda1 L_satis + lambda2 L_dpo of one step.

    `response_P` are weights of the pairs of D+ in L_satis, in addition to those of their answers. With
    `distills` the viewed rows stand last in Q, and L_dpo also pulls their order toward that of the
    satisfaction score.
    """
    num_viewed, satisfaction_Q = batch.num_viewed, scores.satisfaction_A
    assert satisfaction_Q is not None
    main = behavior_loss(scores.served_N, batch, order_scope)
    better_P, worse_P = torch.from_numpy(pairs.better_P), torch.from_numpy(pairs.worse_P)
    served_Q = scores.served_N.index_select(0, torch.from_numpy(pairs.row_Q))
    better_Q, worse_Q = satisfaction_Q[better_P], satisfaction_Q[worse_P]
    weight_P = torch.from_numpy(pairs.weight_P)
    satisfaction_weight_P = weight_P if response_P is None else weight_P * response_P
    if scores.variance_A is None:
        satisfaction, _ = satisfaction_loss(better_Q, worse_Q, satisfaction_weight_P)
    else:
        variance_P = scores.variance_A[better_P] + scores.variance_A[worse_P]
        satisfaction, _ = normal_loss(better_Q, worse_Q, variance_P, satisfaction_weight_P)
    if distills:
        request_M = torch.from_numpy(batch.rows.request_N[:num_viewed])
        better, worse = _distilled_pairs(satisfaction_Q, len(pairs.row_Q) - num_viewed, request_M)
        better_P, worse_P = torch.cat([better_P, better]), torch.cat([worse_P, worse])
        weight_P = torch.cat([weight_P, torch.ones(len(better))])
    if scores.variance_A is not None:
        weight_P = weight_P * _confidence(satisfaction_Q, scores.variance_A, better_P, worse_P)
    dpo, _ = dpo_loss(
        served_Q[better_P],
        served_Q[worse_P],
        satisfaction_Q[better_P],
        satisfaction_Q[worse_P],
        beta,
        weight_P,
    )
    total = main + satisfaction_weight * satisfaction + dpo_weight * dpo
    return Losses(total, main, satisfaction, dpo)


def _pairs_right(batch: Batch, served_N: Tensor, reference_N: Tensor) -> tuple[float, float, float]:
    """Return the numbers of pairs that the served and the reference scores order correctly, and of all."""
    request_M = batch.rows.request_N[: batch.num_viewed]
    counts = [
        pairs_right(request_M, batch.level_M, score_N.detach().numpy()) for score_N in (served_N, reference_N)
    ]
    return float(counts[0][0].sum()), float(counts[1][0].sum()), float(np.sum(counts[0][1]))


def _confidence(mean_Q: Tensor, variance_Q: Tensor, better_P: Tensor, worse_P: Tensor) -> Tensor:
    """Return 2 Phi - 1 of each pair, or 0 if the experts prefer the other order: the weight in L_dpo."""
    spread_P = (variance_Q[better_P] + variance_Q[worse_P]).detach().sqrt()
    margin_P = (mean_Q[better_P] - mean_Q[worse_P]).detach() / spread_P
    chance_P: Tensor = torch.special.ndtr(margin_P)
    return (2 * chance_P - 1).clamp(min=0)


def _distilled_pairs(satisfaction_Q: Tensor, start: int, request_M: Tensor) -> tuple[Tensor, Tensor]:
    """Return pairs of viewed rows of one request in the order of the satisfaction expert."""
    grid = Grid.of(request_M, int(request_M[-1]) + 1 if len(request_M) else 0)
    score_BC = grid.spread(satisfaction_Q.detach()[start:], float("nan"))
    row_BC = grid.spread(torch.arange(start, len(satisfaction_Q)), -1)
    request, better, worse = torch.nonzero(score_BC.unsqueeze(2) > score_BC.unsqueeze(1), as_tuple=True)
    return row_BC[request, better], row_BC[request, worse]
