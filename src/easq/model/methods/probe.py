"""The probe: the behavior model, which answers do not change, and a readout of satisfaction that they train.

Served is the behavior score plus a factor times the readout; the factor is held to a stated price in
behavior. Shapes: N rows, M viewed rows, Q rows of answered requests, A answers, K behaviors.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from easq.features.batch import Batch
from easq.model.embedding import TablePart
from easq.model.given_chances import ChancePlace, ChanceSums, GivenChances
from easq.model.method import AnswerUse, Moves, Task
from easq.model.methods.behavior import (
    BehaviorModel,
    BehaviorSums,
    HeadSettings,
    count_gradients,
)
from easq.model.objective import AnswerPairs, Losses, Supervision
from easq.model.pooling import Inputs, Pooling
from easq.model.price import Price
from easq.model.readout import AnswersRead, ReadoutLearner, SatisfactionReadout
from easq.model.scores import Scores
from easq.model.serving import RankingNetwork
from easq.recipe.features import Score
from easq.recipe.recipe import Recipe
from easq.recipe.values import Name, Rate, Ridge, Share, Weight


class Probe(RankingNetwork):
    """The behavior model, or chances that are given, and the readout of satisfaction.

    With equal seeds the behavior score is that of `kind = "behavior"` to the bit, whatever the answers are.
    """

    def __init__(
        self, behavior: BehaviorModel | GivenChances, readout: SatisfactionReadout, *, share: float
    ) -> None:
        super().__init__()
        self.behavior, self.readout = behavior, readout
        self.register_buffer("factor", torch.tensor([share]))
        self.factor: Tensor

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows, and estimate the satisfaction of `answered_A`, the rows of whole requests."""
        base: Scores = self.behavior(x)
        assert x.sum_NF is not None and base.behavior_logit_NK is not None
        estimate_A = None
        if answered_A is not None:
            estimate_A = self.readout.estimate(
                base.behavior_logit_NK.detach()[answered_A],
                x.sum_NF[:, -1].detach()[answered_A],
                x.request_N[answered_A],
                x.viewer_BV.shape[0],
            )
        served_N = base.served_N + self.factor * self.order(x, base.behavior_logit_NK)
        return base._replace(served_N=served_N, satisfaction_A=estimate_A, behavior_N=base.served_N)

    def order(self, x: Inputs, logit_NK: Tensor) -> Tensor:
        """Return the satisfaction score, which orders the rows of a request; nothing trains by it."""
        assert x.sum_NF is not None
        order_N: Tensor = self.readout(logit_NK.detach(), x.sum_NF[:, -1].detach())
        return order_N


class ProbeObjective:
    """The cross-entropy of every behavior. Answers move no gradient.

    The readout's weights are solved from sums after each step, and the learner moves the answers' own
    weights.
    """

    def __init__(self, network: Probe, settings: "ProbeSettings", task: Task) -> None:
        self._network, self._best = network, task.best
        # Gradients count events where there are heads; the answers' own weights have none.
        self._counted = [] if settings.chances else [1.0] * task.num_behaviors
        self._sums = settings.sums(network, task)
        self._readout = ReadoutLearner(
            network.readout, ridge=settings.ridge, prior_answers=settings.prior_answers
        )
        budget, most = settings.behavior_budget, settings.max_share
        self._price = Price(budget, most=most) if budget else None

    def __call__(self, x: Inputs, supervision: Supervision) -> tuple[Scores, Losses]:
        """Return scores and losses of one step."""
        batch = supervision.batch
        pairs = supervision.pairs if supervision.has_pairs else None
        self._sums.check(batch)
        count_gradients(x, [batch.num_viewed * one for one in (*self._counted, 0.0)])
        scores: Scores = self._network(x, None if pairs is None else torch.from_numpy(pairs.row_Q))
        assert scores.behavior_logit_NK is not None
        main = self._sums.loss(scores.behavior_logit_NK, batch)
        read = None if pairs is None else self._read(x, scores, pairs)
        after = partial(self._after_step, x, scores, batch, read)
        shown = scores if self._counted else scores._replace(behavior_logit_NK=None)
        return shown, Losses(main, main, after_step=after)

    def _read(self, x: Inputs, scores: Scores, pairs: AnswerPairs) -> AnswersRead:
        assert x.sum_NF is not None and scores.behavior_logit_NK is not None
        return AnswersRead.of(
            logit_QK=scores.behavior_logit_NK.detach().numpy()[pairs.row_Q],
            own_Q=x.sum_NF[:, -1].detach().numpy()[pairs.row_Q],
            valence_K=self._network.readout.valence_K.numpy(),
            request_Q=x.request_N.numpy()[pairs.row_Q],
            place_A=pairs.place_A,
            said_A=2 * pairs.option_A / self._best - 1,
            weight_A=pairs.weight_A,
        )

    @torch.no_grad()
    def _after_step(self, x: Inputs, scores: Scores, batch: Batch, read: AnswersRead | None) -> None:
        network = self._network
        assert scores.behavior_N is not None and scores.behavior_logit_NK is not None
        if self._price is not None:
            order_N = network.order(x, scores.behavior_logit_NK)
            num = len(batch.rows.request_N)
            self._price.observe(
                scores.behavior_N.numpy()[:num],
                order_N.numpy()[:num],
                batch.rows.request_N,
                batch.level_M,
                batch.reference_M,
                batch.answer_M,
            )
            network.factor.fill_(self._price.factor)
        self._sums.add(batch)
        if read is not None:
            self._readout.add(read)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the sums of the base and of the readout and the price."""
        price = {} if self._price is None else self._price.state()
        parts = {"behaviors": self._sums.state(), "readout": self._readout.state(), "price": price}
        return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        for part, owner in (("behaviors", self._sums), ("readout", self._readout), ("price", self._price)):
            if owner is not None:
                head = f"{part}."
                owner.restore({n.removeprefix(head): v for n, v in state.items() if n.startswith(head)})


class ProbeSettings(HeadSettings, frozen=True, tag="probe"):
    """[method] kind = "probe". The base is that of kind = "behavior".

    ridge             precision of the normal prior of the readout's weights.
    prior_answers     how many answers it takes to believe half of what a predictor of satisfaction has shown.
    own_rate          of the first-order weights that answers train.
    cross_rate        of the weights of crosses, a viewer's value and a candidate's, that answers train
                      together with those; over the root of the crosses of a row. 0: there are none.
    behavior_budget   share of the behavior of each request's first three that may be lost to the behavior
                      score's own order; the factor of satisfaction goes as high as this allows. Where most
                      requests show fewer than six views, of the first three of twenty views in a row. 0: the
                      factor is `max_share`.
    max_share         most of the factor: levels of behavior that one unit of satisfaction is worth. One unit
                      is half the way from the worst option to the best.
    chances           features of kind "score" with the platform's own chances of behaviors. The probe reads
                      them in the place of our heads, which are then not trained; the behavior score is
                      `[reference]`, or the level that they expect.
    learns_answers    false: what is served beside behavior is the valence of behaviors alone, at the same
                      price. For telling what answers add.
    """

    label: ClassVar[str] = "Probe"
    gradient_map: ClassVar[Mapping[str, Moves]] = {
        "main": Moves(("table", "pooling", "model.behavior")),
    }

    ridge: Ridge = 100.0
    prior_answers: Weight = 100.0
    own_rate: Rate = 0.05
    cross_rate: Weight = 0.3
    behavior_budget: Share = 0.01
    max_share: Weight = 1.0
    chances: tuple[Name, ...] = ()
    learns_answers: bool = True

    @property
    def reads_dense(self) -> bool:
        """Whether the method reads dense features: our heads do, and given chances take their place."""
        return not self.chances

    def problems(self, recipe: Recipe) -> Iterator[str]:
        """Yield what is wrong with the chances."""
        scores = {f.name: f for f in recipe.features if isinstance(f, Score)}
        if unknown := [name for name in self.chances if name not in scores]:
            allowed = ", ".join(scores) or 'none is declared, with kind = "score"'
            yield f"method.chances: got {', '.join(unknown)}; allowed are the scores: {allowed}"
        elif len(set(self.chances)) < len(self.chances):
            yield f"method.chances: got {', '.join(self.chances)}; allowed: each once"
        elif self.chances and recipe.reference is None:
            weights = {b.name: b.weight for b in recipe.behaviors}
            if not any(weights.get(scores[name].behavior or "") for name in self.chances):
                yield (
                    "reference.feature: got none; with method.chances allowed: the score to serve, or "
                    "chances with features.NAME.behavior, whose weights make one"
                )

    @property
    def answer_use(self) -> AnswerUse | None:
        """How the method uses answers."""
        return (
            AnswerUse(partners=False, replays=False, own_rate=self.own_rate, cross_rate=self.cross_rate)
            if self.learns_answers
            else None
        )

    @property
    def unread_keys(self) -> tuple[str, ...]:
        """Those of the base, and the number of replayed answers: none is replayed."""
        return (*super().unread_keys, *(("answers.replayed",) if self.learns_answers else ()))

    def without_effect(self) -> Iterator[str]:
        """Yield a warning for each setting that another one switches off."""
        yield from super().without_effect()
        if self.behavior_budget and not self.max_share:
            yield "method.behavior_budget has no effect: method.max_share is 0, so satisfaction is not served"
        for name in HeadSettings.__struct_fields__:
            value = getattr(self, name)
            if self.chances and value != getattr(ProbeSettings(), name):
                yield f"method.{name} = {value!r} has no effect: method.chances take the place of our heads"
        for name in ("ridge", "prior_answers", "own_rate", "cross_rate"):
            value = getattr(self, name)
            if not self.learns_answers and value != getattr(ProbeSettings(), name):
                yield f"method.{name} = {value!r} has no effect: only method.learns_answers = true reads it"

    def table_parts(self, task: Task) -> tuple[TablePart, list[TablePart]]:
        """Return the parts of the base, and a column for the answers' own first-order weights."""
        embeddings, first_order = (TablePart(0, "set"), []) if self.chances else super().table_parts(task)
        return embeddings, [*first_order, TablePart(1, "set")]

    def network(self, task: Task, pooling: Pooling) -> Probe:
        """Return the untrained network."""
        places = ChancePlace.of(self.chances, task.layout, task.behaviors)
        read = [place.behavior for place in places] if self.chances else task.behaviors
        readout = SatisfactionReadout([0.0 if b is None else b.valence for b in read])
        share = (
            Price(self.behavior_budget, most=self.max_share).factor
            if self.behavior_budget
            else self.max_share
        )
        base = GivenChances(places, task.reference) if self.chances else self.base(task, pooling)
        return Probe(base, readout, share=share)

    def sums(self, network: Probe, task: Task) -> BehaviorSums | ChanceSums:
        """Return what the base has besides parameters that gradients move."""
        if isinstance(network.behavior, BehaviorModel):
            return BehaviorSums(network.behavior, task)
        places = ChancePlace.of(self.chances, task.layout, task.behaviors)
        return ChanceSums(network.behavior, places, task.reference)

    def objective(self, task: Task, network: RankingNetwork) -> ProbeObjective:
        """Return the objective that trains the network."""
        assert isinstance(network, Probe)
        return ProbeObjective(network, self, task)
