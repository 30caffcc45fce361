"""The probe: a behavior model that answers do not change, and a linear probe of it that answers train.

Shapes: N rows, A answered rows, K behaviors, D hidden, P inputs of the probe.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from easq.features.batch import Batch
from easq.model.dims import Dims
from easq.model.lora import Projection
from easq.model.losses import answer_loss
from easq.model.method import EMBEDDINGS, AnswerUse, Moves, RoutedMethod, Task
from easq.model.methods.behavior_2026_11 import BehaviorTower
from easq.model.objective import Losses, OrderScope, Supervision, behavior_loss
from easq.model.pairwise_accuracy import first_levels
from easq.model.pooling import FeaturePooling, Inputs, Pooling, TwinPooling
from easq.model.pull_controller import PullController
from easq.model.scores import Scores
from easq.model.serving import RankingNetwork
from easq.recipe.values import Share, Weight

_FIRST = 3


class SeparateHeads(nn.Module):
    """The chance of each behavior after a view."""

    def __init__(self, dims: Dims, num_behaviors: int) -> None:
        super().__init__()
        hidden = dims.hidden
        self.backbone = Projection(dims.viewer, dims.candidate, hidden)
        self.bias_D = nn.Parameter(torch.zeros(hidden))
        self.inner = nn.Linear(hidden, hidden)
        self.outer = nn.Linear(hidden, num_behaviors)

    def forward(self, x: Inputs) -> tuple[Tensor, Tensor]:
        """Return the logits (N x K) and the hidden rows before them (N x D)."""
        h_ND = functional.relu(self.inner(functional.relu(self.backbone(x) + self.bias_D)))
        return self.outer(h_ND), h_ND


class TowerProbe(RankingNetwork):
    """The behavior-only model, and satisfaction as a linear function of what is known before the view.

    The probe reads sg of the candidate's half of x, of the behavior score, and of the outputs of the behavior
    heads. So few answers are enough to train it, and nothing that it learns changes the behavior score. If x
    has embeddings `beside` it, the heads and the probe read those, and the heads train them: embeddings that
    are trained by the order of behaviors lose what distinguishes one behavior from another. Otherwise they
    read sg(x).
    The served score is the behavior score plus `max_share` times the probe's logit, times the factor of
    `price` if there is one. With equal seeds the behavior score is that of the behavior-only model, except
    after steps whose gradient is clipped.
    """

    def __init__(
        self,
        behavior: BehaviorTower,
        dims: Dims,
        *,
        num_behaviors: int,
        max_share: float,
        price: PullController | None,
    ) -> None:
        super().__init__()
        self.behavior = behavior
        self.heads = SeparateHeads(dims, num_behaviors)
        self.probe = nn.Linear(dims.candidate + num_behaviors + dims.hidden + 1, 1)
        nn.init.zeros_(self.probe.weight)
        nn.init.zeros_(self.probe.bias)
        self.price = price
        self._max_share = max_share
        self.register_buffer("answers", torch.zeros(1))
        self.answers: Tensor

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows, and return the probe's logit for the rows that `answered_A` names."""
        base: Scores = self.behavior(x)
        known = x.detach() if x.beside is None else x.beside
        logit_NK, h_ND = self.heads(known)
        input_NP = torch.cat([known.candidate_NC, logit_NK, h_ND, base.served_N.unsqueeze(1)], 1).detach()
        probed_N = self.probe(input_NP).squeeze(1)
        share = self._max_share if self.price is None else self._max_share * self.price.factor
        served_N = base.served_N + share * probed_N.detach()
        return Scores(
            served_N,
            None if answered_A is None else probed_N.index_select(0, answered_A),
            base.gate_NK,
            None,
            behavior_N=base.served_N,
            behavior_logit_NK=logit_NK,
        )

    def penalty(self) -> Tensor:
        """Return half the squared norm of the probe's weights: a normal prior with the mean 0."""
        return self.probe.weight.square().sum() / 2

    @torch.no_grad()
    def after_step(self, new_answers: int, observed: tuple[float, float, float]) -> None:
        """Count the step's answers, and update the price with what the step observed."""
        self.answers += new_answers
        if self.price is not None:
            self.price.observe(*observed)


class TowerProbeSettings(RoutedMethod, frozen=True, tag="probe_2026_11"):
    """[method] kind = "probe_2026_11". The experts are those of the behavior model.

    probe_dim         width of the probe's own embeddings, which the behavior heads train; with 0 it reads
                      those of the behavior score.
    ridge             precision of the normal prior of the probe's weights.
    max_share         largest share of the probe's logit in the served score.
    behavior_budget   share of the behavior of each request's first three that may be lost to the behavior
                      score's own order. The share of the logit then begins at 1 or `max_share`, whichever is
                      less, and goes as high as the budget allows. 0: the share is always `max_share`.
    partners          half of the replayed answers come with another answer of the same viewer.
    """

    label: ClassVar[str] = "Probe, Nov 2026"
    gradient_map: ClassVar[Mapping[str, Moves]] = {
        "main": Moves((*EMBEDDINGS, "model.behavior")),
        "heads": Moves(("model.heads",)),
        "satisfaction": Moves(("model.probe",)),
        "prior": Moves(("model.probe.weight",)),
    }

    probe_dim: Annotated[int, Meta(ge=0, le=4096)] = 0
    ridge: Weight = 5.0
    max_share: Weight = 0.0
    behavior_budget: Share = 0.0
    partners: bool = True

    @property
    def answer_use(self) -> AnswerUse:
        """How the method uses answers."""
        return AnswerUse(partners=self.partners)

    def without_effect(self) -> Iterator[str]:
        """Yield a warning for each setting that another one switches off."""
        yield from super().without_effect()
        if self.behavior_budget and not self.max_share:
            yield "method.behavior_budget has no effect: method.max_share is 0, so the probe is not served"

    def pooling(self, task: Task) -> Pooling:
        """Return a pooling of two sets of embeddings, or of one if the probe has none of its own."""
        if self.probe_dim:
            return TwinPooling(task.layout, task.sizes.dim, self.probe_dim)
        return FeaturePooling(task.layout, task.sizes.dim)

    def network(self, task: Task, pooling: Pooling) -> TowerProbe:
        """Return the untrained network."""
        behavior = BehaviorTower(
            Dims.of(task.sizes, pooling),
            expert_width=self.expert_width,
            num_experts=self.experts,
            routing=self.how_routed,
        )
        price = None
        if self.behavior_budget:
            start = 1 / max(1.0, self.max_share)
            price = PullController(self.behavior_budget, most=1.0, floor=0.0, start=start)
        return TowerProbe(
            behavior,
            Dims.of(task.sizes, pooling.beside if isinstance(pooling, TwinPooling) else pooling),
            num_behaviors=task.num_behaviors,
            max_share=self.max_share,
            price=price,
        )

    def objective(self, task: Task, network: RankingNetwork) -> "TowerProbeObjective":
        """Return the objective that trains the network."""
        assert isinstance(network, TowerProbe)
        return TowerProbeObjective(network, self.ridge, task.order_scope, task.best)


class TowerProbeObjective:
    """L_main, the cross-entropy of each behavior, and that of answers with a ridge.

    Each part trains parameters of its own. `ridge` is divided by the number of answers seen so far, as in a
    sum over all of them, so with few answers the probe has little effect.
    """

    def __init__(self, network: TowerProbe, ridge: float, order_scope: OrderScope, best: int) -> None:
        self._network, self._ridge, self._order_scope, self._best = network, ridge, order_scope, best

    def __call__(self, x: Inputs, supervision: Supervision) -> tuple[Scores, Losses]:
        """Return scores and losses of one step."""
        network, batch, pairs = self._network, supervision.batch, supervision.pairs
        scores: Scores = network(x, torch.from_numpy(pairs.row_Q))
        assert scores.behavior_N is not None
        assert scores.behavior_logit_NK is not None
        assert scores.satisfaction_A is not None
        main = behavior_loss(scores.behavior_N, batch, self._order_scope)
        behavior_MK = torch.from_numpy(batch.behavior_MK).float()
        heads = functional.binary_cross_entropy_with_logits(
            scores.behavior_logit_NK[: batch.num_viewed], behavior_MK, reduction="sum"
        ) / max(1, batch.num_viewed)
        answers = answer_loss(
            scores.satisfaction_A[torch.from_numpy(pairs.place_A)],
            torch.from_numpy(pairs.option_A) / self._best,
            torch.from_numpy(pairs.weight_A),
        )
        new = len(batch.option_A)
        prior = self._ridge * network.penalty() / max(1.0, float(network.answers) + new)
        observed = _first_levels(batch, scores.served_N, scores.behavior_N)
        total = main + heads + answers + prior
        return scores, Losses(
            total,
            main,
            answers,
            others={"heads": heads, "prior": prior},
            after_step=lambda: network.after_step(new, observed),
        )


def _first_levels(batch: Batch, served_N: Tensor, behavior_N: Tensor) -> tuple[float, float, float]:
    """Return the summed levels of the first rows by served and by behavior score, and their number."""
    request_M = batch.rows.request_N[: batch.num_viewed]
    sums = [
        first_levels(request_M, batch.level_M, score_N.detach().numpy(), _FIRST)
        for score_N in (served_N, behavior_N)
    ]
    return float(sums[0][0].sum()), float(sums[1][0].sum()), float(sums[0][1].sum())
