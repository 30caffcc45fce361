"""Network that predicts answers, with or without the behavior that followed the view.

Shapes: N rows, K behaviors, D hidden.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from easq.model.dims import Dims
from easq.model.lora import Projection
from easq.model.pooling import Inputs


class AnswerNetwork(nn.Module):
    """Predicts the answer to a view as a logit of its level, from 0 (worst option) to 1 (best option).

    With `num_behaviors` the network is privileged: it also reads the behavior after the view, which is not
    available in serving.
    """

    def __init__(self, dims: Dims, width: int, num_behaviors: int = 0) -> None:
        super().__init__()
        hidden = dims.hidden
        self.backbone = Projection(dims.viewer, dims.candidate, hidden)
        self.behaviors = nn.Linear(num_behaviors, hidden, bias=False) if num_behaviors else None
        self.bias_D = nn.Parameter(torch.zeros(hidden))
        self.layers = nn.Sequential(nn.Linear(hidden, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x: Inputs, behavior_NK: Tensor | None = None) -> Tensor:
        """Return a logit per row; a privileged network needs `behavior_NK`, any other must not get it."""
        h_ND = self.backbone(x) + self.bias_D
        if self.behaviors is not None:
            h_ND = h_ND + self.behaviors(behavior_NK)
        logit_N: Tensor = self.layers(functional.relu(h_ND)).squeeze(1)
        return logit_N
