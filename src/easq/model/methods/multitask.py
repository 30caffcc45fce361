"""Multi-task references: behavior and satisfaction as two tasks on one backbone, joined by a shared body.

Shared bottom (Caruana 1997), MMoE (Ma et al. 2018) and PLE (Tang et al. 2020) differ in the body alone.
Shapes: N rows, A answered rows, D hidden or input of a level, K experts or gates, W width.
"""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from easq.model.dims import Dims
from easq.model.lora import Projection
from easq.model.method import EMBEDDINGS, AnswerUse, Moves, PairScope, Task, TrainableMethod, UnaskedPairs
from easq.model.moe import PositiveHead
from easq.model.objective import Losses, OrderScope, Supervision, behavior_loss, pair_loss
from easq.model.pooling import Inputs, Pooling
from easq.model.scores import Scores
from easq.model.serving import RankingNetwork
from easq.recipe.values import Weight, Width

_SHARED = (*EMBEDDINGS, "model.backbone", "model.body")


class Tasks(NamedTuple):
    """Output of a body: the inputs of the heads of both tasks, and the gates of the behavior task."""

    behavior_NW: Tensor
    satisfaction_NW: Tensor
    gate_NK: Tensor


class Body(Protocol):
    """Turns hidden rows into those of the two tasks."""

    def __call__(self, h_ND: Tensor) -> Tasks:
        """Return the rows of both tasks."""
        ...


class MultiTask(RankingNetwork):
    """Backbone, shared body and one head per task; answers and behavior both train the shared parts.

    The served score is the behavior score plus `satisfaction_share` times the satisfaction score.
    """

    def __init__(self, dims: Dims, body: Body, *, width: int, satisfaction_share: float) -> None:
        super().__init__()
        self.backbone = Projection(dims.viewer, dims.candidate, dims.hidden)
        self.body = body
        self.behavior = PositiveHead(width, dims.head, dims.eps)
        self.satisfaction = PositiveHead(width, dims.head, dims.eps)
        self._share = satisfaction_share

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows, and the satisfaction of the rows that `answered_A` names."""
        tasks = self.body(self.backbone(x))
        behavior_N = self.behavior(tasks.behavior_NW)
        served_N = behavior_N
        if self._share:
            # The served score trains nothing: each head has a loss of its own.
            served_N = (behavior_N + self._share * self.satisfaction(tasks.satisfaction_NW)).detach()
        if answered_A is None:
            return Scores(served_N, None, tasks.gate_NK, None, behavior_N)
        satisfaction_A = self.satisfaction(tasks.satisfaction_NW.index_select(0, answered_A))
        return Scores(served_N, satisfaction_A, tasks.gate_NK, None, behavior_N)


class ExpertBank(nn.Module):
    """K two-layer experts on the same rows, all computed at once."""

    def __init__(self, in_dim: int, width: int, num_experts: int) -> None:
        super().__init__()
        self.num_experts, self._width = num_experts, width
        self.inner = nn.Linear(in_dim, num_experts * width)
        self.outer_KWW = nn.Parameter(torch.empty(num_experts, width, width))
        self.bias_KW = nn.Parameter(torch.zeros(num_experts, width))
        nn.init.uniform_(self.outer_KWW, -(width**-0.5), width**-0.5)

    def forward(self, h_ND: Tensor) -> Tensor:
        """Return the output of each expert for each row, N x K x W."""
        inner_NKW = functional.relu(self.inner(h_ND)).view(-1, self.num_experts, self._width)
        outer_KNW = torch.bmm(inner_NKW.transpose(0, 1), self.outer_KWW)
        return outer_KNW.transpose(0, 1) + self.bias_KW


class SoftGate(nn.Module):
    """A task's own mixture of experts, by softmax."""

    def __init__(self, in_dim: int, num_experts: int) -> None:
        super().__init__()
        self.gate = nn.Linear(in_dim, num_experts, bias=False)

    def forward(self, h_ND: Tensor, expert_NKW: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mixture (N x W) and the gates (N x K)."""
        gate_NK = self.gate(h_ND).softmax(1)
        return (gate_NK.unsqueeze(1) @ expert_NKW).squeeze(1), gate_NK


class SharedBottom(nn.Module):
    """Two layers that both tasks share, as wide as `num_experts` experts side by side."""

    def __init__(self, in_dim: int, width: int, num_experts: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_dim, num_experts * width), nn.ReLU(), nn.Linear(num_experts * width, width)
        )

    def forward(self, h_ND: Tensor) -> Tasks:
        """Return the same rows for both tasks."""
        shared_NW = self.layers(h_ND)
        return Tasks(shared_NW, shared_NW, h_ND.new_zeros(h_ND.shape[0], 0))


class Mmoe(nn.Module):
    """Every expert works for both tasks; each task's gate weighs the experts."""

    def __init__(self, in_dim: int, width: int, num_experts: int) -> None:
        super().__init__()
        self.experts = ExpertBank(in_dim, width, num_experts)
        self.behavior = SoftGate(in_dim, num_experts)
        self.satisfaction = SoftGate(in_dim, num_experts)

    def forward(self, h_ND: Tensor) -> Tasks:
        """Return the two mixtures."""
        expert_NKW = functional.relu(self.experts(h_ND))
        behavior_NW, gate_NK = self.behavior(h_ND, expert_NKW)
        satisfaction_NW, _ = self.satisfaction(h_ND, expert_NKW)
        return Tasks(behavior_NW, satisfaction_NW, gate_NK)


class Ple(nn.Module):
    """Two levels of extraction; the second reads what the first made for each task and for both.

    `num_experts` are divided evenly between the behavior task and both tasks together;
    `num_satisfaction_experts` are the satisfaction task's own.
    """

    def __init__(self, in_dim: int, width: int, num_experts: int, num_satisfaction_experts: int) -> None:
        super().__init__()
        sizes = (max(1, num_experts - num_experts // 2), num_satisfaction_experts, max(1, num_experts // 2))
        self.first = Extraction(in_dim, width, sizes, last=False)
        self.second = Extraction(width, width, sizes, last=True)

    def forward(self, h_ND: Tensor) -> Tasks:
        """Return the rows of both tasks."""
        (behavior_NW, satisfaction_NW, shared_NW), _ = self.first(h_ND, h_ND, h_ND)
        (behavior_NW, satisfaction_NW, _), gate_NK = self.second(behavior_NW, satisfaction_NW, shared_NW)
        return Tasks(behavior_NW, satisfaction_NW, gate_NK)


class Extraction(nn.Module):
    """One level (CGC): a task mixes its own experts and the shared ones; the shared side mixes all.

    The `last` level has no shared output.
    """

    def __init__(self, in_dim: int, width: int, sizes: tuple[int, int, int], last: bool) -> None:
        super().__init__()
        own, other, shared = sizes
        self.behavior_experts = ExpertBank(in_dim, width, own)
        self.satisfaction_experts = ExpertBank(in_dim, width, other)
        self.shared_experts = ExpertBank(in_dim, width, shared)
        self.behavior_gate = SoftGate(in_dim, own + shared)
        self.satisfaction_gate = SoftGate(in_dim, other + shared)
        self.shared_gate = None if last else SoftGate(in_dim, own + other + shared)

    def forward(
        self, behavior_ND: Tensor, satisfaction_ND: Tensor, shared_ND: Tensor
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        """Return the rows of behavior, satisfaction and both, and the gates of behavior."""
        own = functional.relu(self.behavior_experts(behavior_ND))
        other = functional.relu(self.satisfaction_experts(satisfaction_ND))
        shared = functional.relu(self.shared_experts(shared_ND))
        behavior_NW, gate_NK = self.behavior_gate(behavior_ND, torch.cat([own, shared], 1))
        satisfaction_NW, _ = self.satisfaction_gate(satisfaction_ND, torch.cat([other, shared], 1))
        if self.shared_gate is None:
            return (behavior_NW, satisfaction_NW, behavior_NW), gate_NK
        shared_NW, _ = self.shared_gate(shared_ND, torch.cat([own, other, shared], 1))
        return (behavior_NW, satisfaction_NW, shared_NW), gate_NK


class MultiTaskObjective:
    """L_main + lambda1 L_satis without a stop-gradient: both losses train everything that the tasks share."""

    def __init__(self, network: MultiTask, satisfaction_weight: float, order_scope: OrderScope) -> None:
        self._network, self._weight, self._order_scope = network, satisfaction_weight, order_scope

    def __call__(self, x: Inputs, supervision: Supervision) -> tuple[Scores, Losses]:
        """Return the scores of both heads and the weighted sum of their losses."""
        pairs = supervision.pairs
        scores: Scores = self._network(x, torch.from_numpy(pairs.row_Q))
        assert scores.behavior_N is not None
        assert scores.satisfaction_A is not None
        main = behavior_loss(scores.behavior_N, supervision.batch, self._order_scope)
        satisfaction = pair_loss(scores.satisfaction_A, pairs)
        return scores, Losses(main + self._weight * satisfaction, main, satisfaction)


class MultiTaskSettings(TrainableMethod, frozen=True):
    """Settings of the three methods.

    experts                 K1: how many experts' worth of parameters there are.
    expert_width            hidden width of each.
    satisfaction_weight     weight of the pairs D+ in the loss.
    satisfaction_share      served is the behavior score plus this times the satisfaction score.
    scope, unasked          of D+, as in kind = "easq".
    """

    experts: Width = 6
    expert_width: Width = 32
    satisfaction_weight: Weight = 1.0
    satisfaction_share: Weight = 0.0
    scope: PairScope = "user_first"
    unasked: UnaskedPairs = "none"

    @property
    def answer_use(self) -> AnswerUse:
        """How the method uses answers."""
        return AnswerUse(partners=self.scope != "batch", scope=self.scope, unasked=self.unasked)

    @property
    def num_experts(self) -> tuple[int, int]:
        """Number of gated experts of the behavior task; the satisfaction task has none of its own."""
        return self.experts, 0

    def body(self, hidden: int) -> Body:
        """Return the untrained body."""
        raise NotImplementedError

    def network(self, task: Task, pooling: Pooling) -> MultiTask:
        """Return the untrained network."""
        return MultiTask(
            Dims.of(task.sizes, pooling),
            self.body(task.sizes.hidden),
            width=self.expert_width,
            satisfaction_share=self.satisfaction_share,
        )

    def objective(self, task: Task, network: RankingNetwork) -> MultiTaskObjective:
        """Return the objective that trains the network."""
        assert isinstance(network, MultiTask)
        return MultiTaskObjective(network, self.satisfaction_weight, task.order_scope)


class SharedBottomSettings(MultiTaskSettings, frozen=True, tag="shared_bottom"):
    """[method] kind = "shared_bottom"."""

    label: ClassVar[str] = "Shared bottom"
    gradient_map: ClassVar[Mapping[str, Moves]] = {
        "main": Moves((*_SHARED, "model.behavior")),
        "satisfaction": Moves((*_SHARED, "model.satisfaction")),
    }

    def body(self, hidden: int) -> SharedBottom:
        """Return the untrained body."""
        return SharedBottom(hidden, self.expert_width, self.experts)


class MmoeSettings(MultiTaskSettings, frozen=True, tag="mmoe"):
    """[method] kind = "mmoe"."""

    label: ClassVar[str] = "MMoE"
    gradient_map: ClassVar[Mapping[str, Moves]] = {
        "main": Moves((*_SHARED, "model.behavior"), ("model.body.satisfaction",)),
        "satisfaction": Moves((*_SHARED, "model.satisfaction"), ("model.body.behavior",)),
    }

    def body(self, hidden: int) -> Mmoe:
        """Return the untrained body."""
        return Mmoe(hidden, self.expert_width, self.experts)


class PleSettings(MultiTaskSettings, frozen=True, tag="ple"):
    """[method] kind = "ple".

    satisfaction_experts   of the satisfaction task alone.
    """

    label: ClassVar[str] = "PLE"
    gradient_map: ClassVar[Mapping[str, Moves]] = {
        "main": Moves(
            (*_SHARED, "model.behavior"),
            ("model.body.second.satisfaction", "model.body.first.satisfaction_gate"),
        ),
        "satisfaction": Moves(
            (*_SHARED, "model.satisfaction"),
            ("model.body.second.behavior", "model.body.first.behavior_gate"),
        ),
    }

    satisfaction_experts: Width = 3

    @property
    def num_experts(self) -> tuple[int, int]:
        """K1 and K2."""
        return self.experts, self.satisfaction_experts

    def body(self, hidden: int) -> Ple:
        """Return the untrained body."""
        return Ple(hidden, self.expert_width, self.experts, self.satisfaction_experts)
