"""A behaviour model that answers leave untouched, and a linear probe of it that answers train.

Shapes: N rows, A answered rows, K behaviours, D hidden, P what the probe reads.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from easq.model.lora import Projection
from easq.model.methods.behavior import BehaviorOnly
from easq.model.pooling import Inputs
from easq.model.pull_controller import PullController
from easq.model.scores import Scores, Unmerged


class BehaviorHeads(nn.Module):
    """The chance of each behaviour: what a view is likely to bring."""

    def __init__(self, viewer_dim: int, candidate_dim: int, hidden: int, num_behaviors: int) -> None:
        super().__init__()
        self.backbone = Projection(viewer_dim, candidate_dim, hidden)
        self.bias_D = nn.Parameter(torch.zeros(hidden))
        self.inner = nn.Linear(hidden, hidden)
        self.outer = nn.Linear(hidden, num_behaviors)

    def forward(self, x: Inputs) -> tuple[Tensor, Tensor]:
        """Return the logits (N x K) and the hidden rows before them (N x D)."""
        h_ND = functional.relu(self.inner(functional.relu(self.backbone(x) + self.bias_D)))
        return self.outer(h_ND), h_ND


class Probe(nn.Module):
    """The behaviour-only model, and what is satisfying as a linear function of what is known before the view.

    The probe reads sg of the candidate's half of x, of the behaviour score, and of what the behaviour heads
    say, so few answers are enough for it and nothing that it learns moves the behaviour score. Where x has
    embeddings `beside` it, the heads and the probe read those, and the heads train them: an embedding that
    the order of behaviours trains has forgotten what tells one behaviour from another. Else they read sg(x).
    Served is the behaviour score plus `share` times the probe's logit, times the price's factor where there
    is a price. Of equal seeds the behaviour score is that of the behaviour-only model, but for steps whose
    gradient is clipped.
    """

    def __init__(
        self,
        behavior: BehaviorOnly,
        viewer_dim: int,
        candidate_dim: int,
        hidden: int,
        num_behaviors: int,
        share: float,
        price: PullController | None,
    ) -> None:
        super().__init__()
        self.behavior = behavior
        self.heads = BehaviorHeads(viewer_dim, candidate_dim, hidden, num_behaviors)
        self.probe = nn.Linear(candidate_dim + num_behaviors + hidden + 1, 1)
        nn.init.zeros_(self.probe.weight)
        nn.init.zeros_(self.probe.bias)
        self.price = price
        self._share = share
        self.register_buffer("answers", torch.zeros(1))
        self.answers: Tensor

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows, and give the probe's logit of the rows that `answered_A` names."""
        found: Scores = self.behavior(x)
        known = x.detach() if x.beside is None else x.beside
        logit_NK, h_ND = self.heads(known)
        read_NP = torch.cat([known.candidate_NC, logit_NK, h_ND, found.served_N.unsqueeze(1)], 1).detach()
        probed_N = self.probe(read_NP).squeeze(1)
        factor = self._share if self.price is None else self._share * self.price.factor
        served_N = found.served_N + factor * probed_N.detach()
        return Scores(
            served_N,
            None if answered_A is None else probed_N.index_select(0, answered_A),
            found.gate_NK,
            None,
            behavior_N=found.served_N,
            behavior_logit_NK=logit_NK,
        )

    def penalty(self) -> Tensor:
        """Return half the squared length of the probe's weights: a normal prior around knowing nothing."""
        return self.probe.weight.square().sum() / 2

    def merged(self) -> Unmerged:
        """Return the serving form."""
        return Unmerged(self)
