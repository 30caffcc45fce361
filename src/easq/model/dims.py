"""Sizes that towers and heads share."""

from typing import NamedTuple

from easq.model.pooling import Pooling
from easq.recipe.learning import Model


class Dims(NamedTuple):
    """Widths of a network's inputs and layers.

    viewer, candidate   widths of the two halves of x.
    hidden              width of the first projection.
    head                hidden width of the heads; 0 makes them linear.
    eps                 smallest score, above zero.
    """

    viewer: int
    candidate: int
    hidden: int
    head: int
    eps: float

    @staticmethod
    def of(sizes: Model, pooling: Pooling) -> "Dims":
        """Return the widths for inputs of a pooling."""
        return Dims(pooling.viewer_dim, pooling.candidate_dim, sizes.hidden, sizes.head_width, sizes.eps)
