"""SAQRec (CIKM 2024): answers completed by a teacher, and interests told apart by satisfaction.

Shapes: B requests, N rows, A answered rows, L entries of the history, E embedding, V viewer features,
K buckets, W expert width.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from easq.model.lora import Projection
from easq.model.methods.behavior import BehaviorOnly
from easq.model.moe import RELU, MixtureOfExperts, PositiveHead, Routing
from easq.model.pooling import Inputs, Past
from easq.model.scores import Scores, Unmerged

_LAYERS = (200, 80)


class PairNetwork(nn.Module):
    """An MLP (200, 80, 1) on the embeddings of viewer and item, which it reads and never moves."""

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
    """What the final model says of each row: the served click score and a logit of satisfaction."""

    click_N: Tensor
    satisfaction_N: Tensor
    gate_NK: Tensor


class FinalModel(nn.Module):
    """Clicks and satisfaction from x, two attended states and the interests of K buckets.

    The history is sorted by the satisfaction that the teacher sees in it. The newest entry of the best
    quarter and that of the worst are the states; each attends over all that was viewed.
    """

    def __init__(
        self,
        viewer_dim: int,
        candidate_dim: int,
        item_dim: int,
        hidden: int,
        expert_width: int,
        num_experts: int,
        head_width: int,
        eps: float,
        num_buckets: int,
        routing: Routing,
    ) -> None:
        super().__init__()
        self._num_buckets = num_buckets
        self.satisfied_EE = nn.Parameter(torch.eye(item_dim))
        self.dissatisfied_EE = nn.Parameter(torch.eye(item_dim))
        self.interest_EE = nn.Parameter(torch.eye(item_dim))
        self.backbone = Projection(viewer_dim + 2 * item_dim, candidate_dim + item_dim, hidden)
        self.experts = MixtureOfExperts(hidden, expert_width, num_experts, routing)
        self.click = PositiveHead(expert_width, head_width, eps)
        self.satisfaction = nn.Sequential(
            nn.ReLU(), nn.Linear(expert_width, expert_width), nn.ReLU(), nn.Linear(expert_width, 1)
        )

    def forward(self, x: Inputs, past: Past, seen_BL: Tensor) -> FinalScores:
        """Return both heads' scores; `seen_BL` is the satisfaction that the teacher sees in the past."""
        bucket_BL = quantile_buckets(seen_BL, past.is_padding_BL, self._num_buckets)
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
        told = Inputs(torch.cat([x.viewer_BV, *states], 1), candidate_NC, x.request_N)
        mixture_NW, gate_NK = self.experts(self.backbone(told))
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


class Saqrec(nn.Module):
    """The four stages: base model, response propensity, satisfaction teacher, final model."""

    def __init__(
        self,
        viewer_dim: int,
        candidate_dim: int,
        item_dim: int,
        hidden: int,
        expert_width: int,
        num_experts: int,
        head_width: int,
        eps: float,
        num_buckets: int,
        routing: Routing = RELU,
    ) -> None:
        super().__init__()
        self.base = BehaviorOnly(
            viewer_dim, candidate_dim, hidden, expert_width, num_experts, head_width, eps, routing
        )
        self.propensity = PairNetwork(viewer_dim, item_dim)
        self.teacher = PairNetwork(viewer_dim, item_dim)
        self.final = FinalModel(
            viewer_dim,
            candidate_dim,
            item_dim,
            hidden,
            expert_width,
            num_experts,
            head_width,
            eps,
            num_buckets,
            routing,
        )

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows by the click head, and the satisfaction of the rows that `answered_A` names."""
        final = self.judge(x)
        satisfaction_A = None if answered_A is None else final.satisfaction_N.index_select(0, answered_A)
        return Scores(final.click_N, satisfaction_A, final.gate_NK, None)

    def judge(self, x: Inputs) -> FinalScores:
        """Return what the final model says."""
        past = past_of(x)
        with torch.no_grad():
            seen_BL = self.teacher.history(x, past)
        final: FinalScores = self.final(x, past, seen_BL)
        return final

    def merged(self) -> Unmerged:
        """Return the serving form."""
        return Unmerged(self)


def past_of(x: Inputs) -> Past:
    """Return the history that the inputs bring."""
    assert x.past is not None, "SAQRec needs the pooling to bring the history"
    return x.past


def quantile_buckets(seen_BL: Tensor, is_padding_BL: Tensor, num_buckets: int) -> Tensor:
    """Return each entry's bucket by its rank in its own history, 0 the least; -1 where there is no entry.

    Equal values stand in the order of the history, so buckets are even.
    """
    order_BL = seen_BL.masked_fill(is_padding_BL, float("inf")).argsort(dim=1, stable=True)
    rank_BL = torch.zeros_like(order_BL).scatter(
        1, order_BL, torch.arange(seen_BL.shape[1]).expand_as(order_BL)
    )
    num_B1 = (~is_padding_BL).sum(1, keepdim=True)
    # The middle of an entry's share decides, so that few entries spread from end to end.
    bucket_BL = (2 * rank_BL + 1) * num_buckets // (2 * num_B1.clamp(min=1))
    return bucket_BL.masked_fill(is_padding_BL, -1)


def _newest(entry_BLE: Tensor, is_state_BL: Tensor) -> Tensor:
    """Return the newest of the entries that are chosen (a history is newest first), zero without any."""
    place_B = is_state_BL.float().argmax(1)
    newest_BE = entry_BLE[torch.arange(len(entry_BLE)), place_B]
    return newest_BE * is_state_BL.any(1, keepdim=True)


def _attended(past: Past, query_BE: Tensor) -> Tensor:
    logit_BL = (past.entry_BLE @ query_BE.unsqueeze(2)).squeeze(2) * query_BE.shape[1] ** -0.5
    weight_BL = functional.softmax(logit_BL.masked_fill(past.is_padding_BL, -1e9), 1)
    return (weight_BL.unsqueeze(1) @ past.entry_BLE).squeeze(1)
