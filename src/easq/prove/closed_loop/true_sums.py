"""True satisfaction by arm, which only a simulation knows.

Shapes: U viewers, V visits, K items watched on a visit.
"""

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import tea_tasting as tt  # type: ignore[import-untyped]
from msgspec import Struct

from easq.arrays import F32, I64
from easq.recipe.assignment import arm_of


class TrueLift(Struct, frozen=True):
    """A mean in two arms and its relative change, with its interval."""

    control: float
    treatment: float
    lift: float
    low: float
    high: float


class TrueSums:
    """Sums of true satisfaction over the views of each viewer, from day `since` on."""

    def __init__(self, num_viewers: int, experiment: str, arms: tuple[str, str], since: int) -> None:
        self._experiment, self._arms, self._since = experiment, arms, since
        self._arm_U = np.full(num_viewers, -1)
        self._sum_U, self._views_U = np.zeros(num_viewers), np.zeros(num_viewers)

    def add(self, day: int, user_V: I64, labels: list[str], satisfaction_VK: F32) -> None:
        """Add visits that were ranked under these arm labels."""
        if day < self._since:
            return
        numbers = {name: number for number, name in enumerate(self._arms)}
        self._arm_U[user_V] = [numbers.get(arm_of(label, self._experiment), -1) for label in labels]
        np.add.at(self._sum_U, user_V, satisfaction_VK.sum(1))
        np.add.at(self._views_U, user_V, satisfaction_VK.shape[1])

    def lift(self, confidence: float) -> TrueLift:
        """Return the second arm's mean true satisfaction of a view against the first's (delta method)."""
        seen_U = (self._arm_U >= 0) & (self._views_U > 0)
        data = pa.table(
            {
                "variant": self._arm_U[seen_U],
                "satisfaction": self._sum_U[seen_U],
                "views": self._views_U[seen_U],
            }
        )
        ratio = tt.RatioOfMeans("satisfaction", "views", confidence_level=confidence)
        result = tt.Experiment(truth=ratio).analyze(data, control=0)["truth"]
        return TrueLift(
            float(result.control),
            float(result.treatment),
            float(result.rel_effect_size),
            float(result.rel_effect_size_ci_lower),
            float(result.rel_effect_size_ci_upper),
        )
