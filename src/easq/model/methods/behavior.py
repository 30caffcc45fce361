"""Behavior only: the chance of every behavior, ranked by the level expected. No answer is read.

Shapes: N rows, M viewed rows, K behaviors.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from easq.arrays import Bool
from easq.features.batch import Batch
from easq.model.embedding import TablePart
from easq.model.method import EMBEDDINGS, Moves, Task, TrainableMethod
from easq.model.objective import Losses, Supervision
from easq.model.pooling import Inputs, Pooling, SummedPooling
from easq.model.product_heads import ProductHeads
from easq.model.reference import ReferenceLevel, ReferencePlace, ReferenceScale
from easq.model.scores import Scores
from easq.model.serving import RankingNetwork
from easq.recipe.features import BehaviorKind
from easq.recipe.values import Rate, Weight, Width

_PRIOR_VIEWS = 10.0


class BehaviorModel(RankingNetwork):
    """Heads for all behaviors; the score is the sum of their chances, each times the behavior's weight.

    With a reference the score is the reference's, in levels of behavior.
    """

    def __init__(
        self, heads: ProductHeads, behaviors: Sequence[BehaviorKind], reference: ReferencePlace | None = None
    ) -> None:
        super().__init__()
        self.heads = heads
        self.reference = None if reference is None else ReferenceLevel(reference)
        self.register_buffer("weight_K", torch.tensor([b.weight for b in behaviors]), persistent=False)
        self.weight_K: Tensor

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows; answers are not read."""
        del answered_A
        logit_NK = self.heads(x)
        if self.reference is None:
            score_N = logit_NK.sigmoid() @ self.weight_K
        else:
            assert x.score_NS is not None
            score_N = self.reference(x.score_NS)
        return Scores(score_N, None, score_N.new_zeros(score_N.shape[0], 0), None, behavior_logit_NK=logit_NK)


class BehaviorSums:
    """What the behavior model has besides parameters that gradients move.

    How often each behavior followed a view so far, the log odds at which the heads begin; and with a
    reference, its scale.
    """

    def __init__(self, network: BehaviorModel, task: Task) -> None:
        self._heads = network.heads
        self._seen, self._followed_K = 0, np.zeros(task.num_behaviors, np.int64)
        self._scale = None
        if task.reference is not None:
            assert network.reference is not None
            self._scale = ReferenceScale(network.reference, task.reference)

    def check(self, batch: Batch) -> None:
        """Nothing of a batch is impossible here."""

    def loss(self, logit_NK: Tensor, batch: Batch) -> Tensor:
        """Return what trains the heads."""
        return heads_loss(logit_NK, batch.behavior_MK)

    def add(self, batch: Batch) -> None:
        """Count the viewed rows of a step; move the heads' offset and the reference's scale."""
        behavior_MK = batch.behavior_MK
        if self._scale is not None:
            self._scale.add(batch)
        self._seen += len(behavior_MK)
        self._followed_K += behavior_MK.sum(0)
        odds_K = (self._followed_K + 1) / (self._seen - self._followed_K + _PRIOR_VIEWS)
        self._heads.offset_K.copy_(torch.from_numpy(np.log(odds_K)))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the counts, and the sums of a reference."""
        scale = {} if self._scale is None else self._scale.state()
        counts: dict[str, NDArray[np.generic]] = {
            "counts": np.array([self._seen, *self._followed_K.tolist()])
        }
        return counts | {f"reference.{name}": value for name, value in scale.items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        if self._scale is not None:
            head = "reference."
            self._scale.restore({n.removeprefix(head): v for n, v in state.items() if n.startswith(head)})
        counts = state["counts"].astype(np.int64)
        self._seen, self._followed_K = int(counts[0]), counts[1:].copy()


def heads_loss(logit_NK: Tensor, behavior_MK: Bool) -> Tensor:
    """Return the cross-entropy of the viewed rows' behaviors: summed over behaviors, the mean of the rows."""
    target_MK = torch.from_numpy(behavior_MK).float()
    logit_MK = logit_NK[: len(target_MK)]
    total = functional.binary_cross_entropy_with_logits(logit_MK, target_MK, reduction="sum")
    return total / max(1, len(target_MK))


def count_gradients(x: Inputs, count_F: Sequence[float]) -> None:
    """Have the first-order weights read the gradients of sums, of which the losses are means over `count_F`.

    Their rates count events, so a step's gradient is the sum over its rows, whatever its size.
    """
    assert x.sum_NF is not None
    if x.sum_NF.requires_grad:
        times_F = torch.tensor(count_F)
        # torch leaves this method without types.
        x.sum_NF.register_hook(lambda gradient: gradient * times_F)  # type: ignore[no-untyped-call]


class BehaviorModelObjective:
    """The cross-entropy of every behavior."""

    def __init__(self, network: BehaviorModel, task: Task) -> None:
        self._network, self._num, self._sums = network, task.num_behaviors, BehaviorSums(network, task)

    def __call__(self, x: Inputs, supervision: Supervision) -> tuple[Scores, Losses]:
        """Return scores and losses of one step."""
        batch = supervision.batch
        count_gradients(x, [float(batch.num_viewed)] * self._num)
        scores: Scores = self._network(x)
        assert scores.behavior_logit_NK is not None
        main = heads_loss(scores.behavior_logit_NK, batch.behavior_MK)
        return scores, Losses(main, main, after_step=partial(self._sums.add, batch))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the sums."""
        return self._sums.state()

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        self._sums.restore(state)


class HeadSettings(TrainableMethod, frozen=True):
    """Settings of methods whose base are heads of behaviors.

    dim                   width of an embedding.
    embedding_rate        rate of embeddings, by row-wise AdaGrad.
    width                 width of the product of viewer and candidate, and of the hidden layer beside it.
    product_scale         first size of the two maps that are multiplied, relative to the usual.
    embedding_floor       of that AdaGrad: gradients that are small beside it move an embedding little. Where
                          embeddings say nothing, they would otherwise drown the first-order weights.
    first_order_rate      of all first-order weights of a row together, by FTRL-proximal: one moves at this
                          over the root of the number of values that a row may have.
    """

    dim: Width = 32
    embedding_rate: Rate = 0.3
    width: Width = 64
    product_scale: Rate = 3.0
    embedding_floor: Weight = 0.003
    first_order_rate: Rate = 0.3

    @property
    def unread_keys(self) -> tuple[str, ...]:
        """The sizes and rates of towers; `dim` and `embedding_rate` here take their place."""
        towers = ("model.dim", "model.hidden", "model.head_width", "model.eps")
        return (*towers, "training.embedding_rate", "order.scope")

    @property
    def reads_reference(self) -> bool:
        """Whether `[reference]` is served: it takes the place of the heads' score."""
        return True

    def table_parts(self, task: Task) -> tuple[TablePart, list[TablePart]]:
        """Return the embeddings' part of the table, and those of first-order weights."""
        sides = (task.layout.viewer, task.layout.candidate)
        num_values = sum(side[-1].stop for side in sides if side)
        embeddings = TablePart(self.dim, rate=self.embedding_rate, floor=self.embedding_floor)
        return embeddings, [TablePart(task.num_behaviors, "ftrl", self.first_order_rate / num_values**0.5)]

    def pooling(self, task: Task) -> Pooling:
        """Return the pooling of embeddings and first-order weights."""
        return SummedPooling(task.layout, *self.table_parts(task))

    def base(self, task: Task, pooling: Pooling) -> BehaviorModel:
        """Return the untrained behavior model."""
        assert isinstance(pooling, SummedPooling)
        heads = ProductHeads(pooling, task.num_behaviors, width=self.width, product_scale=self.product_scale)
        return BehaviorModel(heads, task.behaviors, task.reference)


class BehaviorModelSettings(HeadSettings, frozen=True, tag="behavior"):
    """[method] kind = "behavior"."""

    label: ClassVar[str] = "Behavior only"
    gradient_map: ClassVar[Mapping[str, Moves]] = {"main": Moves((*EMBEDDINGS, "model.heads"))}

    def network(self, task: Task, pooling: Pooling) -> BehaviorModel:
        """Return the untrained network."""
        return self.base(task, pooling)

    def objective(self, task: Task, network: RankingNetwork) -> BehaviorModelObjective:
        """Return the objective that trains the network."""
        assert isinstance(network, BehaviorModel)
        return BehaviorModelObjective(network, task)
