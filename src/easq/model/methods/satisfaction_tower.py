"""A satisfaction tower: another method's satisfaction score, served beside the probe at the same price.

With some ten thousand answers a score that trains embeddings of its own knows more than the probe's
readout, which only weighs what behavior and first-order weights say. Both predict every answer before it is
learned, and each is served by what it has shown, so few answers leave the readout as it is.

The tower is the network of a method that has a satisfaction score for every row, as it stands: shared bottom,
whose answers train the embeddings together with behavior, or EASQ's low-rank path. It reads a second part of
the embedding table, so nothing that it learns moves the behavior score. This tells what a satisfaction score
is worth from what its method does to the behavior score, and compares methods at one price.
Shapes: N rows, Q all rows of a step in another order, K behaviors.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from math import log
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from easq.arrays import F32, F64
from easq.features.batch import Batch
from easq.model.embedding import TablePart
from easq.model.method import AnswerPath, AnswerUse, Moves, Objective, StatefulObjective, Task
from easq.model.methods.behavior import (
    BehaviorModel,
    BehaviorSums,
    HeadSettings,
    count_gradients,
    heads_loss,
)
from easq.model.methods.easq import EasqSettings
from easq.model.methods.multitask import MmoeSettings, PleSettings, SharedBottomSettings
from easq.model.objective import Losses, Supervision
from easq.model.pooling import Inputs, Pooling, SummedPooling
from easq.model.price import Price
from easq.model.readout import AnswersRead, Mixture, ReadoutLearner, SatisfactionReadout
from easq.model.scores import Scores
from easq.model.serving import RankingNetwork
from easq.recipe.recipe import Recipe
from easq.recipe.values import Rate, Ridge, Share, Weight

_FOLLOWS = 0.05
"""How fast the level of the tower's scores is followed: of a step's mean, so much."""


class BehaviorWithTower(RankingNetwork):
    """The behavior model on x, the readout, a tower on the embeddings beside, and what of them is served.

    worth_R   weights of the predictors of answers, the tower's score last. The tower's is 0 until it has
              predicted some; the readout's, if there is one, begins at 1.
    factor    on the predictors so weighed, held to the price.
    level     about the mean of the tower's scores.

    With equal seeds the behavior score is that of `kind = "behavior"` to the bit, whatever the answers are.
    """

    def __init__(
        self,
        behavior: BehaviorModel,
        tower: RankingNetwork,
        readout: SatisfactionReadout | None,
        *,
        share: float,
    ) -> None:
        super().__init__()
        self.behavior, self.tower, self.readout = behavior, tower, readout
        self.register_buffer("factor", torch.tensor([share]))
        self.register_buffer("worth_R", torch.tensor(_first_worth(readout)))
        # The towers' heads begin near Softplus(0).
        self.register_buffer("level", torch.tensor([log(2.0)]))
        self.factor: Tensor
        self.worth_R: Tensor
        self.level: Tensor

    def forward(self, x: Inputs, answered_A: Tensor | None = None) -> Scores:
        """Score all rows, and estimate the satisfaction of `answered_A`, the rows of whole requests."""
        assert x.beside is not None
        tower: Scores = self.tower(x.beside, torch.arange(x.request_N.shape[0]))
        assert tower.satisfaction_A is not None
        base: Scores = self.behavior(x)
        estimate_NR = self.estimates(x, base, tower.satisfaction_A)
        scores = self.served(base, estimate_NR)
        if answered_A is None:
            return scores
        return scores._replace(satisfaction_A=self.expected(x, base, estimate_NR, answered_A))

    def estimates(self, x: Inputs, base: Scores, satisfaction_N: Tensor) -> Tensor:
        """Return what each predictor says of rows, whose order in a request is what counts."""
        columns = [self.bounded(satisfaction_N)]
        if self.readout is not None:
            assert x.sum_NF is not None and base.behavior_logit_NK is not None
            columns.insert(0, self.readout(base.behavior_logit_NK.detach(), x.sum_NF[:, -1].detach()))
        return torch.stack(columns, 1)

    def expected(self, x: Inputs, base: Scores, estimate_NR: Tensor, row_A: Tensor) -> Tensor:
        """Return the answer expected of the rows of whole requests."""
        tower_A = self.worth_R[-1] * estimate_NR[row_A, -1]
        if self.readout is None:
            return tower_A
        assert x.sum_NF is not None and base.behavior_logit_NK is not None
        logit_NK, own_N = base.behavior_logit_NK.detach(), x.sum_NF[:, -1].detach()
        num = x.viewer_BV.shape[0]
        read_A: Tensor = self.readout.estimate(logit_NK[row_A], own_N[row_A], x.request_N[row_A], num)
        return self.worth_R[0] * read_A + tower_A

    def bounded(self, satisfaction_N: Tensor) -> Tensor:
        """Return the tower's scores between -1 and 1, 0 at their level; nothing trains by them.

        L_satis reads differences of scores as log odds of an order, and 2 sigmoid - 1 is what it is worth in
        answers. A few extreme scores would otherwise use up the price.
        """
        return torch.tanh((satisfaction_N.detach() - self.level) / 2)

    def served(self, base: Scores, estimate_NR: Tensor) -> Scores:
        """Return the behavior model's scores, with what the predictors say in the served one."""
        served_N = base.served_N + self.factor * (estimate_NR @ self.worth_R)
        return base._replace(served_N=served_N, behavior_N=base.served_N)


class TowerObjective:
    """The cross-entropy of every behavior, and beside it the losses of the tower's own method.

    Its L_main is called `tower` here, its other losses keep their names.
    """

    def __init__(
        self, network: BehaviorWithTower, tower: Objective, settings: "SatisfactionTowerSettings", task: Task
    ) -> None:
        self._network, self._tower, self._price = network, tower, settings.price()
        self._num, self._sums = task.num_behaviors, BehaviorSums(network.behavior, task)
        prior, readout = settings.prior_answers, network.readout
        self._shown, self._best = Mixture(prior, _first_worth(readout)), task.best
        self._readout = (
            None if readout is None else ReadoutLearner(readout, ridge=settings.ridge, prior_answers=prior)
        )

    def __call__(self, x: Inputs, supervision: Supervision) -> tuple[Scores, Losses]:
        """Return the scores of the batch's own rows, and the losses of one step."""
        network, batch = self._network, supervision.batch
        assert x.beside is not None
        own, has_own = _own_rows(x, batch), self._readout is not None
        count_gradients(own, [float(batch.num_viewed)] * self._num + [0.0] * has_own)
        base: Scores = network.behavior(own)
        assert base.behavior_logit_NK is not None
        main = heads_loss(base.behavior_logit_NK, batch.behavior_MK)
        learned, losses = self._tower(x.beside, supervision)
        assert learned.satisfaction_A is not None
        satisfaction_Q = learned.satisfaction_A.detach()
        satisfaction_N = torch.empty_like(satisfaction_Q)
        satisfaction_N[torch.from_numpy(supervision.pairs.row_Q)] = satisfaction_Q
        satisfaction_N = satisfaction_N[: len(own.request_N)]
        estimate_NR = network.estimates(own, base, satisfaction_N)
        listed_L = torch.arange(batch.num_viewed, len(own.request_N))
        scores = network.served(base, estimate_NR)._replace(
            satisfaction_A=network.expected(own, base, estimate_NR, listed_L)
        )
        read = None if self._readout is None else self._read(own, base, batch)
        return scores, Losses(
            main + losses.total,
            main,
            losses.satisfaction,
            losses.dpo,
            others={"tower": losses.main, **losses.others},
            signals=losses.signals,
            after_step=partial(
                self._after_step, losses, scores, satisfaction_N, estimate_NR.detach(), batch, read
            ),
        )

    def _read(self, own: Inputs, base: Scores, batch: Batch) -> AnswersRead:
        assert own.sum_NF is not None and base.behavior_logit_NK is not None and self._network.readout
        listed_L = slice(batch.num_viewed, None)
        return AnswersRead.of(
            logit_QK=base.behavior_logit_NK.detach().numpy()[listed_L],
            own_Q=own.sum_NF.detach().numpy()[listed_L, -1],
            valence_K=self._network.readout.valence_K.numpy(),
            request_Q=own.request_N.numpy()[listed_L],
            place_A=batch.answer_row_A - batch.num_viewed,
            said_A=2 * batch.option_A / self._best - 1,
            weight_A=batch.weight_A,
        )

    @torch.no_grad()
    def _after_step(
        self,
        losses: Losses,
        scores: Scores,
        satisfaction_N: Tensor,
        estimate_NR: Tensor,
        batch: Batch,
        read: AnswersRead | None,
    ) -> None:
        losses.after_step()
        network = self._network
        assert scores.behavior_N is not None
        if self._price is not None:
            self._price.observe(
                scores.behavior_N.numpy(),
                (estimate_NR @ network.worth_R).numpy(),
                batch.rows.request_N,
                batch.level_M,
                batch.reference_M,
                batch.answer_M,
            )
            network.factor.fill_(self._price.factor)
        if batch.num_viewed:
            network.level.lerp_(satisfaction_N[: batch.num_viewed].mean(), _FOLLOWS)
        if len(batch.option_A):
            # The step's own answers were scored before anything learned them.
            said_A = 2 * batch.option_A / self._best - 1
            predicted_AR = _inside_requests(estimate_NR.numpy(), batch)
            self._shown.add(predicted_AR, said_A, batch.weight_A.astype(np.float64))
            network.worth_R.copy_(torch.from_numpy(self._shown.weights()))
        if self._readout is not None and read is not None:
            self._readout.add(read)
        self._sums.add(batch)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the sums of the base, the price, what the tower has shown and the state of its objective."""
        parts = {name: owner.state() for name, owner in self._owners()}
        return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        for part, owner in self._owners():
            head = f"{part}."
            owner.restore({n.removeprefix(head): v for n, v in state.items() if n.startswith(head)})

    def _owners(self) -> Iterator[tuple[str, StatefulObjective]]:
        yield "behaviors", self._sums
        yield "shown", self._shown
        if self._readout is not None:
            yield "readout", self._readout
        if self._price is not None:
            yield "price", self._price
        if isinstance(self._tower, StatefulObjective):
            yield "tower", self._tower


def _own_rows(x: Inputs, batch: Batch) -> Inputs:
    """Return the inputs of the batch's own rows.

    Rows of answers that come from before stand behind them. Without those the behavior model computes what it
    would compute alone, to the bit.
    """
    num_requests, num = len(batch.rows.viewer_BW), len(batch.rows.request_N)
    assert x.sum_NF is not None
    score_NS = None if x.score_NS is None else x.score_NS[:num]
    return Inputs(
        x.viewer_BV[:num_requests],
        x.candidate_NC[:num],
        x.request_N[:num],
        sum_NF=x.sum_NF[:num],
        score_NS=score_NS,
    )


def _inside_requests(estimate_NR: F32, batch: Batch) -> F64:
    """Return the estimates of the answered rows, relative to the mean of a request with more than one row."""
    listed_L = slice(batch.num_viewed, None)
    _, number_L, size_B = np.unique(batch.rows.request_N[listed_L], return_inverse=True, return_counts=True)
    sum_BR = np.zeros((len(size_B), estimate_NR.shape[1]))
    np.add.at(sum_BR, number_L, estimate_NR[listed_L])
    request_A = number_L[batch.answer_row_A - batch.num_viewed]
    size_A1 = size_B[request_A][:, None]
    relative_AR: F64 = estimate_NR.astype(np.float64)[batch.answer_row_A] - np.where(
        size_A1 == 1, 0.0, sum_BR[request_A] / size_A1
    )
    return relative_AR


def _first_worth(readout: SatisfactionReadout | None) -> tuple[float, ...]:
    """Return what the predictors are worth before any answer."""
    return (0.0,) if readout is None else (1.0, 0.0)


Beside = SharedBottomSettings | MmoeSettings | PleSettings | EasqSettings


def moves_beside(gradient_map: Mapping[str, Moves]) -> dict[str, Moves]:
    """Return which parameters each loss trains where a method of this gradient map is the tower."""

    def below(parts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            part.replace("pooling", "pooling.beside").replace("model.", "model.tower.") for part in parts
        )

    beside = {loss: Moves(below(moves.parts), below(moves.but_not)) for loss, moves in gradient_map.items()}
    return {"main": Moves(("table", "model.behavior")), "tower": beside.pop("main"), **beside}


class SatisfactionTowerSettings(HeadSettings, frozen=True, tag="satisfaction_tower"):
    """[method] kind = "satisfaction_tower". Base, readout and price are those of kind = "probe".

    tower             [method.tower]: settings of the method that learns beside the base, with its kind. Its
                      satisfaction score is served and its behavior score is not. Its embeddings have
                      `model.dim`.
    tower_rate        rate of its embeddings, by row-wise AdaGrad.
    readout           false: without the probe's readout. For telling what the tower is worth alone.
    ridge, own_rate, cross_rate   of the readout, as in kind = "probe".
    behavior_budget   share of the behavior of each request's first three that may be lost to the behavior
                      score's own order, as in kind = "probe". 0: the factor is `max_share`.
    prior_answers     how many answers it takes to believe half of what the score has shown.
    max_share         most of the factor: levels of behavior that one unit of satisfaction is worth. One unit
                      is half the way from the worst option to the best.
    """

    label: ClassVar[str] = "Satisfaction tower"
    gradient_map: ClassVar[Mapping[str, Moves]] = moves_beside(SharedBottomSettings.gradient_map)

    tower: Beside = SharedBottomSettings(scope="batch")
    tower_rate: Rate = 0.1
    readout: bool = True
    ridge: Ridge = 100.0
    own_rate: Rate = 0.05
    cross_rate: Weight = 0.3
    behavior_budget: Share = 0.01
    max_share: Weight = 1.0
    prior_answers: Rate = 100.0

    @property
    def loss_moves(self) -> Mapping[str, Moves]:
        """Parameters that each loss trains with this tower."""
        return moves_beside(self.tower.gradient_map)

    @property
    def answer_use(self) -> AnswerUse:
        """How the tower uses answers; it also scores the viewed rows, which are served."""
        own_rate, cross_rate = (self.own_rate, self.cross_rate) if self.readout else (0.0, 0.0)
        use = self.tower.answer_use
        return use._replace(reads_viewed=True, own_rate=own_rate, cross_rate=cross_rate)

    @property
    def answer_path(self) -> AnswerPath | None:
        """What answers alone train in the tower."""
        path = self.tower.answer_path
        if path is None:
            return None
        return path._replace(parts=tuple(part.replace("model.", "model.tower.") for part in path.parts))

    @property
    def unread_keys(self) -> tuple[str, ...]:
        """What the tower leaves: it reads the sizes of towers."""
        return (*self.tower.unread_keys, "training.embedding_rate")

    def problems(self, recipe: Recipe) -> Iterator[str]:
        """Yield the problems of the tower."""
        for problem in self.tower.problems(recipe):
            yield problem.replace("method.", "method.tower.", 1)

    def without_effect(self) -> Iterator[str]:
        """Yield a warning for each setting that another one switches off."""
        yield from super().without_effect()
        for warning in self.tower.without_effect():
            yield warning.replace("method.", "method.tower.")
        if self.behavior_budget and not self.max_share:
            yield "method.behavior_budget has no effect: method.max_share is 0, so satisfaction is not served"
        for name in ("ridge", "own_rate", "cross_rate"):
            value = getattr(self, name)
            if not self.readout and value != getattr(SatisfactionTowerSettings(), name):
                yield f"method.{name} = {value!r} has no effect: only method.readout = true reads it"
        if share := getattr(self.tower, "satisfaction_share", 0.0):
            yield (
                f"method.tower.satisfaction_share = {share!r} has no effect: the tower's behavior score is "
                "not served; method.max_share bounds the share of its satisfaction score"
            )

    def pooling(self, task: Task) -> Pooling:
        """Return the pooling of the base, and beside it that of the tower."""
        beside = TablePart(task.sizes.dim, rate=self.tower_rate)
        return SummedPooling(task.layout, *self.table_parts(task), beside=beside)

    def table_parts(self, task: Task) -> tuple[TablePart, list[TablePart]]:
        """Return the parts of the base and, with a readout, the answers' own first-order weights."""
        embeddings, first_order = super().table_parts(task)
        return embeddings, [*first_order, *([TablePart(1, "set")] if self.readout else [])]

    def network(self, task: Task, pooling: Pooling) -> BehaviorWithTower:
        """Return the untrained network."""
        assert isinstance(pooling, SummedPooling) and pooling.beside is not None
        # The base comes first, so that it begins as it would without a tower.
        base = self.base(task, pooling)
        price = self.price()
        share = self.max_share if price is None else price.factor
        readout = SatisfactionReadout([b.valence for b in task.behaviors]) if self.readout else None
        return BehaviorWithTower(base, self.tower.network(task, pooling.beside), readout, share=share)

    def objective(self, task: Task, network: RankingNetwork) -> TowerObjective:
        """Return the objective that trains the network."""
        assert isinstance(network, BehaviorWithTower)
        tower = self.tower.objective(task, network.tower)
        return TowerObjective(network, tower, self, task)

    def price(self) -> Price | None:
        """Return what holds the price, if there is one."""
        return Price(self.behavior_budget, most=self.max_share) if self.behavior_budget else None
