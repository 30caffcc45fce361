"""What every method gives: scores of a step's rows, and a form that serves.

Shapes: N rows, A answered rows, K1 and K2 experts of the served score and of the satisfaction score.
"""

from typing import NamedTuple, Protocol

from torch import Tensor, nn

from easq.model.pooling import Inputs


class Scores(NamedTuple):
    """What a step needs: served scores of all rows, satisfaction scores of the answered ones.

    `behavior_N` is the score that behaviour trains where that is not the served one. A method without
    gates has none (K1 = 0). `variance_A` is of the satisfaction scores, where a model says it,
    `behavior_logit_NK` of the chance of each behaviour.
    """

    served_N: Tensor
    satisfaction_A: Tensor | None
    gate_NK: Tensor
    satisfaction_gate_AK: Tensor | None
    behavior_N: Tensor | None = None
    variance_A: Tensor | None = None
    behavior_logit_NK: Tensor | None = None


class ServableModel(Protocol):
    """A model that serves as it trains: scores of all rows from their inputs alone."""

    def __call__(self, x: Inputs) -> Scores:
        """Return the scores of all rows; none is answered."""
        ...


class Unmerged(nn.Module):
    """The serving form of a model that has no shorter one: the model itself."""

    def __init__(self, model: ServableModel) -> None:
        super().__init__()
        self._model = model

    def forward(self, x: Inputs) -> Tensor:
        """Return the served scores."""
        return self._model(x).served_N
