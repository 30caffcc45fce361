"""SAQRec (CIKM 2024, 10.1145/3627673.3679643): a teacher predicts missing answers, which sort the interests.

Each stage reads the earlier ones behind a stop-gradient, so all four are trained in one step.
Shapes: B requests, N rows, M viewed rows, A answered rows, L entries of the history, E embedding, V viewer
features, K buckets, W expert width.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, NamedTuple

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from easq.model.dims import Dims
from easq.model.lora import Projection
from easq.model.losses import estimated_answers
from easq.model.method import EMBEDDINGS, AnswerUse, Moves, RoutedMethod, Task
from easq.model.methods.behavior_2026_11 import BehaviorTower
from easq.model.moe import RELU, MixtureOfExperts, PositiveHead, Routing
from easq.model.objective import Losses, Supervision, behavior_loss
from easq.model.pooling import FeaturePooling, Inputs, Past, Pooling
from easq.model.scores import Scores
from easq.model.serving import RankingNetwork
from easq.recipe.features import History
from easq.recipe.recipe import Recipe
from easq.recipe.values import Weight

_LAYERS = (200, 80)
_LEAST_PROPENSITY = 0.05


class PairNetwork(nn.Module):
    """An MLP (200, 80, 1) on the embeddings of viewer and item, which it reads but does not train."""

    def __init__(self, viewer_dim: int, item_dim: int) -> None:
        super().__init__()
        self.viewer = nn.Linear(viewer_dim, _LAYERS[0])
        self.item = nn.Linear(item_dim, _LAYERS[0], bias=False)
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Linear(_LAYERS[0], _LAYERS[1]), nn.ReLU(), nn.Linear(_LAYERS[1], 1)
        )

    def rows(self, x: Inputs, past: Past) -> Tensor:
        """Return a logit per row."""
        viewer_BH = self.viewer(x.viewer_BV.detach())
        logit_N: Tensor = self.layers(viewer_BH[x.request_N] + self.item(past.target_NE.detach())).squeeze(1)
        return logit_N

    def history(self, x: Inputs, past: Past) -> Tensor:
        """Return a logit per entry of the viewer's history."""
        viewer_BH = self.viewer(x.viewer_BV.detach())
        logit_BL: Tensor = self.layers(viewer_BH.unsqueeze(1) + self.item(past.entry_BLE.detach())).squeeze(2)
        return logit_BL


class FinalScores(NamedTuple):
    """Output of the final model for each row: the served click score and a logit of satisfaction."""

    click_N: Tensor
    satisfaction_N: Tensor
    gate_NK: Tensor


class FinalModel(nn.Module):
    """Clicks and satisfaction from x, two attended states and the interests of K buckets.

    The history is sorted by the teacher's satisfaction. The newest entries of the best and of the worst
    quarter are the states; each attends over the whole history.
    """

    def __init__(
        self,
        dims: Dims,
        *,
        item_dim: int,
        expert_width: int,
        num_experts: int,
        num_buckets: int,
        routing: Routing,
    ) -> None:
        super().__init__()
        self._num_buckets = num_buckets
        self.satisfied_EE = nn.Parameter(torch.eye(item_dim))
        self.dissatisfied_EE = nn.Parameter(torch.eye(item_dim))
        self.interest_EE = nn.Parameter(torch.eye(item_dim))
        self.backbone = Projection(dims.viewer + 2 * item_dim, dims.candidate + item_dim, dims.hidden)
        self.experts = MixtureOfExperts(dims.hidden, expert_width, num_experts, routing)
        self.click = PositiveHead(expert_width, dims.head, dims.eps)
        self.satisfaction = nn.Sequential(
            nn.ReLU(), nn.Linear(expert_width, expert_width), nn.ReLU(), nn.Linear(expert_width, 1)
        )

    def forward(self, x: Inputs, past: Past, satisfaction_BL: Tensor) -> FinalScores:
        """Return both heads' scores; `satisfaction_BL` is the teacher's satisfaction with the history."""
        bucket_BL = quantile_buckets(satisfaction_BL, past.is_padding_BL, self._num_buckets)
        quarter = max(1, self._num_buckets // 4)
        is_worst_BL = (bucket_BL >= 0) & (bucket_BL < quarter)
        is_best_BL = bucket_BL >= self._num_buckets - quarter
        states = [
            _attended(past, _newest(past.entry_BLE, is_state_BL) @ weight_EE)
            for is_state_BL, weight_EE in (
                (is_best_BL, self.satisfied_EE),
                (is_worst_BL, self.dissatisfied_EE),
            )
        ]
        candidate_NC = torch.cat([x.candidate_NC, self._interests(x, past, bucket_BL)], 1)
        joined = Inputs(torch.cat([x.viewer_BV, *states], 1), candidate_NC, x.request_N)
        mixture_NW, gate_NK = self.experts(self.backbone(joined))
        return FinalScores(self.click(mixture_NW), self.satisfaction(mixture_NW).squeeze(1), gate_NK)

    def _interests(self, x: Inputs, past: Past, bucket_BL: Tensor) -> Tensor:
        """Return the gated sum of the buckets' means, the gates by the candidate."""
        is_in_BKL = bucket_BL.unsqueeze(1) == torch.arange(self._num_buckets).view(1, -1, 1)
        num_BK = is_in_BKL.sum(2)
        interest_BKE = is_in_BKL.float() @ past.entry_BLE / num_BK.clamp(min=1).unsqueeze(2)
        interest_NKE = interest_BKE[x.request_N]
        logit_NK = (interest_NKE @ (past.target_NE @ self.interest_EE).unsqueeze(2)).squeeze(2)
        gate_NK = logit_NK.masked_fill(num_BK[x.request_N] == 0, -1e9).softmax(1)
        return (gate_NK.unsqueeze(1) @ interest_NKE).squeeze(1)


class Saqrec(RankingNetwork):
    """The four stages: base model, response propensity, satisfaction teacher, final model."""

    def __init__(
        self,
        dims: Dims,
        *,
        item_dim: int,
        expert_width: int,
        num_experts: int,
        num_buckets: int,
        routing: Routing = RELU,
    ) -> None:
        super().__init__()
        self.base = BehaviorTower(dims, expert_width=expert_width, num_experts=num_experts, routing=routing)
        self.propensity = PairNetwork(dims.viewer, item_dim)
        self.teacher = PairNetwork(dims.viewer, item_dim)
        self.final = FinalModel(
            dims,
            item_dim=item_dim,
            expert_width=expert_width,
            num_experts=num_experts,
            num_buckets=num_buckets,
            routing=routing,
        )

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows by the click head, and the satisfaction of the rows that `answered_A` names."""
        final = self.final_scores(x)
        satisfaction_A = None if answered_A is None else final.satisfaction_N.index_select(0, answered_A)
        return Scores(final.click_N, satisfaction_A, final.gate_NK, None)

    def final_scores(self, x: Inputs) -> FinalScores:
        """Return the scores of the final model."""
        past = past_of(x)
        with torch.no_grad():
            satisfaction_BL = self.teacher.history(x, past)
        final: FinalScores = self.final(x, past, satisfaction_BL)
        return final


class SaqrecSettings(RoutedMethod, frozen=True, tag="saqrec"):
    """[method] kind = "saqrec".

    satisfaction_weight   weight of the final model's satisfaction head.
    buckets               K: number of parts into which a viewer's history is divided by satisfaction.
    partners              half of the replayed answers come with another answer of the same viewer.
    """

    label: ClassVar[str] = "SAQRec"
    gradient_map: ClassVar[Mapping[str, Moves]] = {
        "base": Moves((*EMBEDDINGS, "model.base")),
        "propensity": Moves(("model.propensity",)),
        "teacher": Moves(("model.teacher",)),
        "main": Moves((*EMBEDDINGS, "model.final"), ("model.final.satisfaction.",)),
        "pseudo": Moves((*EMBEDDINGS, "model.final"), ("model.final.click",)),
    }

    satisfaction_weight: Weight = 1.0
    buckets: Annotated[int, Meta(ge=2, le=64)] = 8
    partners: bool = True

    @property
    def answer_use(self) -> AnswerUse:
        """How the method uses answers."""
        return AnswerUse(partners=self.partners)

    def problems(self, recipe: Recipe) -> Iterator[str]:
        """Yield a problem if no history is declared."""
        if not any(isinstance(f, History) for f in recipe.features):
            needs = "it reads the viewer's past, so features needs one of kind 'history'"
            yield f"method.kind: got 'saqrec'; {needs}"

    def pooling(self, task: Task) -> Pooling:
        """Return a pooling whose inputs hold the viewer's history entry by entry."""
        return FeaturePooling(task.layout, task.sizes.dim, brings_past=True)

    def network(self, task: Task, pooling: Pooling) -> Saqrec:
        """Return the untrained network."""
        return Saqrec(
            Dims.of(task.sizes, pooling),
            item_dim=task.sizes.dim,
            expert_width=self.expert_width,
            num_experts=self.experts,
            num_buckets=self.buckets,
            routing=self.how_routed,
        )

    def objective(self, task: Task, network: RankingNetwork) -> "SaqrecObjective":
        """Return the objective that trains the network."""
        assert isinstance(network, Saqrec)
        return SaqrecObjective(network, self.satisfaction_weight, task)


class SaqrecObjective:
    """L_base + L_propensity + L_teacher + L_click + lambda1 L_pseudo."""

    def __init__(self, network: Saqrec, satisfaction_weight: float, task: Task) -> None:
        self._network, self._weight, self._task = network, satisfaction_weight, task

    def __call__(self, x: Inputs, supervision: Supervision) -> tuple[Scores, Losses]:
        """Return scores and losses of one step."""
        batch, pairs, past = supervision.batch, supervision.pairs, past_of(x)
        base = behavior_loss(self._network.base(x).served_N, batch, self._task.order_scope)
        answer_M = torch.from_numpy(batch.answer_M)
        num_viewed = len(answer_M)
        response_N = self._network.propensity.rows(x, past)
        propensity = _mean_cross_entropy(response_N[:num_viewed], (answer_M >= 0).float())
        row_A = torch.from_numpy(pairs.row_Q[pairs.place_A])
        teacher_N = self._network.teacher.rows(x, past)
        teacher = weighted_answers(
            teacher_N[row_A],
            torch.from_numpy(pairs.option_A) / self._task.best,
            response_N[row_A].detach().sigmoid(),
            torch.from_numpy(pairs.weight_A),
        )
        final = self._network.final_scores(x)
        click = behavior_loss(final.click_N, batch, self._task.order_scope)
        student_M = final.satisfaction_N[:num_viewed]
        label_M = pseudo_labels(student_M.detach(), teacher_N[:num_viewed].detach())
        label_M = estimated_answers(
            label_M, answer_M, torch.from_numpy(batch.answer_weight_M), self._task.best
        )
        pseudo = _mean_cross_entropy(student_M, label_M)
        satisfaction_Q = final.satisfaction_N.index_select(0, torch.from_numpy(pairs.row_Q))
        scores = Scores(final.click_N, satisfaction_Q, final.gate_NK, None)
        total = base + propensity + teacher + click + self._weight * pseudo
        others = {"base": base, "propensity": propensity, "teacher": teacher, "pseudo": pseudo}
        return scores, Losses(total, click, others=others)


def weighted_answers(logit_A: Tensor, answer_A: Tensor, propensity_A: Tensor, weight_A: Tensor) -> Tensor:
    """Return the mean cross-entropy of answers, each by its weight over its chance, at least .05."""
    loss_A = functional.binary_cross_entropy_with_logits(
        logit_A, answer_A.float(), weight_A, reduction="none"
    )
    return (loss_A / propensity_A.clamp(min=_LEAST_PROPENSITY)).sum() / max(1, len(logit_A))


def pseudo_labels(student_M: Tensor, teacher_M: Tensor) -> Tensor:
    """Mix the predictions of student and teacher (logits): the more they differ, the more the student counts.

    w = BetaCDF(minmax(cross-entropy); 1/2, 1/2), which is 2/pi arcsin(sqrt(.)).
    """
    if not len(student_M):
        return student_M
    teacher_M = teacher_M.sigmoid()
    loss_M = functional.binary_cross_entropy_with_logits(student_M, teacher_M, reduction="none")
    span = (loss_M.max() - loss_M.min()).clamp(min=1e-12)
    weight_M = torch.asin(((loss_M - loss_M.min()) / span).clamp(0, 1).sqrt()) * 2 / math.pi
    return weight_M * student_M.sigmoid() + (1 - weight_M) * teacher_M


def _mean_cross_entropy(logit_M: Tensor, target_M: Tensor) -> Tensor:
    total = functional.binary_cross_entropy_with_logits(logit_M, target_M, reduction="sum")
    return total / max(1, len(logit_M))


def past_of(x: Inputs) -> Past:
    """Return the history of the inputs."""
    assert x.past is not None, "SAQRec needs a pooling with brings_past"
    return x.past


def quantile_buckets(satisfaction_BL: Tensor, is_padding_BL: Tensor, num_buckets: int) -> Tensor:
    """Return each entry's bucket by its rank in its own history, 0 the least; -1 where there is no entry.

    Equal values stand in the order of the history, so buckets are even.
    """
    order_BL = satisfaction_BL.masked_fill(is_padding_BL, float("inf")).argsort(dim=1, stable=True)
    rank_BL = torch.zeros_like(order_BL).scatter(
        1, order_BL, torch.arange(satisfaction_BL.shape[1]).expand_as(order_BL)
    )
    num_B1 = (~is_padding_BL).sum(1, keepdim=True)
    # The middle of an entry's share decides, so that few entries spread from end to end.
    bucket_BL = (2 * rank_BL + 1) * num_buckets // (2 * num_B1.clamp(min=1))
    return bucket_BL.masked_fill(is_padding_BL, -1)


def _newest(entry_BLE: Tensor, is_state_BL: Tensor) -> Tensor:
    """Return the newest of the chosen entries (a history is newest first), or zero if there are none."""
    place_B = is_state_BL.float().argmax(1)
    newest_BE = entry_BLE[torch.arange(len(entry_BLE)), place_B]
    return newest_BE * is_state_BL.any(1, keepdim=True)


def _attended(past: Past, query_BE: Tensor) -> Tensor:
    logit_BL = (past.entry_BLE @ query_BE.unsqueeze(2)).squeeze(2) * query_BE.shape[1] ** -0.5
    weight_BL = functional.softmax(logit_BL.masked_fill(past.is_padding_BL, -1e9), 1)
    return (weight_BL.unsqueeze(1) @ past.entry_BLE).squeeze(1)
