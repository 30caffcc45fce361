"""The chances of behaviors that the platform predicts itself, in the place of our behavior model.

The probe reads them as it reads our heads, so a platform with predictions of its own trains the probe alone.
Shapes: N rows, S scores of the layout, K chances.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from easq.arrays import F64
from easq.errors import InputError
from easq.features.batch import Batch
from easq.features.layout import Layout
from easq.model.pooling import Inputs
from easq.model.reference import ReferenceLevel, ReferencePlace, ReferenceScale
from easq.model.scores import Scores
from easq.model.serving import RankingNetwork
from easq.recipe.features import BehaviorKind, score_names

_LEAST = 1e-6
_PRIOR_VIEWS = 10.0


class ChancePlace(NamedTuple):
    """A chance: its feature, its place among the layout's scores; and its behavior, if that is said.

    `column` is the behavior's place in the recipe.
    """

    name: str
    number: int
    behavior: BehaviorKind | None
    column: int | None

    @staticmethod
    def of(names: Sequence[str], layout: Layout, behaviors: Sequence[BehaviorKind]) -> "list[ChancePlace]":
        """Return the places of chances by name."""
        columns = {behavior.name: column for column, behavior in enumerate(behaviors)}
        named = {score.name: columns.get(score.behavior or "") for score in layout.scores}
        order = score_names(layout.scores)
        return [
            ChancePlace(n, order.index(n), None if (k := named[n]) is None else behaviors[k], named[n])
            for n in names
        ]


class GivenChances(RankingNetwork):
    """Logits of given chances. The score is the reference's, or without one the level that they expect.

    A chance that is unknown has the mean logit of those seen.
    """

    def __init__(self, places: Sequence[ChancePlace], reference: ReferencePlace | None) -> None:
        super().__init__()
        self._numbers = [place.number for place in places]
        weights = [0.0 if p.behavior is None else p.behavior.weight for p in places]
        self.reference = None if reference is None else ReferenceLevel(reference)
        self.register_buffer("weight_K", torch.tensor(weights), persistent=False)
        self.register_buffer("mean_K", torch.zeros(len(places)))
        self.weight_K: Tensor
        self.mean_K: Tensor

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows; answers are not read."""
        del answered_A
        assert x.score_NS is not None
        chance_NK = x.score_NS[:, self._numbers]
        # Cut to (0, 1) only where it is known: ONNX leaves open what a bound makes of NaN.
        is_known_NK = ~chance_NK.isnan()
        logit_NK = torch.logit(torch.where(is_known_NK, chance_NK, 0.5), eps=_LEAST)
        logit_NK = torch.where(is_known_NK, logit_NK, self.mean_K)
        level = self.reference
        score_N = logit_NK.sigmoid() @ self.weight_K if level is None else level(x.score_NS)
        return Scores(score_N, None, score_N.new_zeros(score_N.shape[0], 0), None, behavior_logit_NK=logit_NK)


class ChanceSums:
    """What given chances have besides the rows: their mean logits, and the scale of a reference."""

    def __init__(
        self, network: GivenChances, places: Sequence[ChancePlace], reference: ReferencePlace | None
    ) -> None:
        self._network, self._places = network, places
        self._sum_K: F64 = np.zeros(len(places))
        self._count_K: F64 = np.zeros(len(places))
        self._scale = None
        if reference is not None:
            assert network.reference is not None
            self._scale = ReferenceScale(network.reference, reference)

    def check(self, batch: Batch) -> None:
        """Raise InputError, naming the feature, for a value that is no chance."""
        for place in self._places:
            score_N = batch.rows.score_NS[:, place.number]
            wrong_N = score_N[(score_N < 0) | (score_N > 1)]
            if len(wrong_N):
                raise InputError(
                    f"features.{place.name}: got {float(wrong_N[0]):g}; allowed: chances from 0 to 1, "
                    "because method.chances names it"
                )

    def loss(self, logit_NK: Tensor, batch: Batch) -> Tensor:
        """Return the cross-entropy of the chances whose behavior is known. It trains nothing."""
        known = [k for k, place in enumerate(self._places) if place.column is not None]
        columns = [place.column for place in self._places if place.column is not None]
        target_MK = torch.from_numpy(batch.behavior_MK[:, columns]).float()
        logit_MK = logit_NK[: batch.num_viewed, known]
        total = functional.binary_cross_entropy_with_logits(logit_MK, target_MK, reduction="sum")
        return total / max(1, batch.num_viewed)

    def add(self, batch: Batch) -> None:
        """Add the viewed rows of a step."""
        if self._scale is not None:
            self._scale.add(batch)
        chance_MK = batch.rows.score_NS[: batch.num_viewed, [p.number for p in self._places]]
        chance_MK = np.clip(chance_MK.astype(np.float64), _LEAST, 1 - _LEAST)
        self._sum_K += np.nansum(np.log(chance_MK / (1 - chance_MK)), 0)
        self._count_K += np.isfinite(chance_MK).sum(0)
        self._network.mean_K.copy_(torch.from_numpy(self._sum_K / (self._count_K + _PRIOR_VIEWS)))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the sums."""
        scale = {} if self._scale is None else self._scale.state()
        sums: dict[str, NDArray[np.generic]] = {"sum": self._sum_K, "count": self._count_K}
        return sums | {f"reference.{name}": value for name, value in scale.items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        self._sum_K, self._count_K = (state[name].astype(np.float64) for name in ("sum", "count"))
        if self._scale is not None:
            head = "reference."
            self._scale.restore({n.removeprefix(head): v for n, v in state.items() if n.startswith(head)})
