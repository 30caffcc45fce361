"""Supervision and losses of a step. L_main, the loss of the behavior order, is common to all methods.

Shapes: M rows of viewed requests, A new answers, Q rows that the satisfaction path scores, P pairs, T rows
whose behavior and answer are known, K behaviors, B requests, C candidates.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from easq.arrays import F32, I64
from easq.features.batch import Batch
from easq.model.grid import Grid
from easq.model.losses import main_loss, satisfaction_loss

OrderScope = Literal["request", "viewer", "batch"]


@dataclass(frozen=True)
class AnswerPairs:
    """The rows Q that the satisfaction path scores and the pairs of D+ among them.

    Q begins with all rows of the answered requests, so that an answer is measured within its list. Then
    follow the replayed rows, then rows that only a variant reads. The weight of a pair is the product of its
    rows' weights; an unasked row has the weight 1.

    row_Q                         places in the step's rows.
    better_P, worse_P, weight_P   places in Q of each pair's rows, and the pair's weight.
    place_A, option_A, weight_A   places in Q of the answered rows, the option chosen (0 is the worst), and
                                  the weight of the answer.
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
    """Rows of a step with both behavior and an answer: the batch's own first, then replayed ones."""

    row_T: Tensor
    behavior_TK: Tensor
    option_T: Tensor
    weight_T: Tensor


class Supervision:
    """What a step learns from besides the inputs of its rows.

    It holds what the method declared in `TrainableMethod.answer_use`: `pairs` raises LookupError if the
    method reads no answers, `labelled` if it needs no labelled rows.
    """

    def __init__(
        self, batch: Batch, pairs: AnswerPairs | None = None, labelled: LabelledRows | None = None
    ) -> None:
        self.batch, self._pairs, self._labelled = batch, pairs, labelled

    @property
    def has_pairs(self) -> bool:
        """Whether the method reads answers."""
        return self._pairs is not None

    @property
    def pairs(self) -> AnswerPairs:
        """The answered rows and their pairs."""
        if self._pairs is None:
            raise LookupError("this method reads no answers: its answer_use is None")
        return self._pairs

    @property
    def labelled(self) -> LabelledRows:
        """The rows with both behavior and an answer."""
        if self._labelled is None:
            raise LookupError("this method reads no labelled rows: its answer_use does not ask for them")
        return self._labelled


def _nothing() -> None:
    """Do nothing after a step."""


@dataclass(frozen=True)
class Losses:
    """The losses of one step; `total` is minimized, the others are reported by name.

    `signals` tell whether a path that answers train is alive (answer_signals.py).
    `others` are the losses of one method only. `after_step` runs once the parameters are updated: it counts
    steps, or updates a controller with what this step observed.
    """

    total: Tensor
    main: Tensor
    satisfaction: Tensor | None = None
    dpo: Tensor | None = None
    others: dict[str, Tensor] = field(default_factory=dict)
    signals: dict[str, float] = field(default_factory=dict)
    after_step: Callable[[], None] = _nothing

    def named(self) -> dict[str, Tensor]:
        """Return each loss by its name."""
        common = {"main": self.main, "satisfaction": self.satisfaction, "dpo": self.dpo}
        return {name: loss for name, loss in (common | self.others).items() if loss is not None}

    def plus(self, name: str, loss: Tensor) -> "Losses":
        """Return the losses with one more, of a part that only its own loss trains."""
        return replace(self, total=self.total + loss, others=self.others | {name: loss})


def behavior_loss(score_N: Tensor, batch: Batch, order_scope: OrderScope) -> Tensor:
    """Return L_main of a score over B+, the pairs of viewed rows in the order of their behavior."""
    row_M, group_M = _order_groups(batch, order_scope)
    grid = Grid.of(torch.from_numpy(group_M), int(group_M[-1]) + 1 if batch.num_viewed else 0)
    level_BC = grid.spread(torch.from_numpy(batch.level_M[row_M]), float("nan"))
    score_BC = grid.spread(score_N.index_select(0, torch.from_numpy(row_M)))
    return main_loss(score_BC, level_BC)[0]


def pair_loss(score_Q: Tensor, pairs: AnswerPairs) -> Tensor:
    """Return L_satis of a score over D+."""
    better_P, worse_P = torch.from_numpy(pairs.better_P), torch.from_numpy(pairs.worse_P)
    return satisfaction_loss(score_Q[better_P], score_Q[worse_P], torch.from_numpy(pairs.weight_P))[0]


def _order_groups(batch: Batch, scope: OrderScope) -> tuple[I64, I64]:
    """Return the viewed rows, with those of a group side by side, and the group of each."""
    row_M = np.arange(batch.num_viewed)
    request_M = batch.rows.request_N[: batch.num_viewed]
    if scope == "request":
        return row_M, request_M
    if scope == "batch":
        return row_M, np.zeros_like(row_M)
    viewer_M = np.unique(batch.user_B[request_M], return_inverse=True)[1]
    row_M = np.argsort(viewer_M, kind="stable")
    return row_M, viewer_M[row_M]
