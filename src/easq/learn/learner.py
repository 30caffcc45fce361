"""The online learner: every batch is scored, then learned, in one forward pass.

Shapes: N rows of a batch, A its answers, W and V embedding rows of viewer and candidate.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from easq.arrays import F32, I64
from easq.features.batch import Batch
from easq.home.snapshots import Nested
from easq.learn.answer_rows import answer_rows, answered_rows, with_replayed
from easq.learn.labelled_views import LabelledViews
from easq.learn.optimizers import DenseOptimizer
from easq.learn.replay_buffer import ReplayBuffer, joined
from easq.learn.waiting_answers import WaitingAnswers
from easq.model.build import BuiltMethod
from easq.model.crosses import NUM_CROSSES
from easq.model.dense_features import DenseStatistics
from easq.model.embedding import EmbeddingTable
from easq.model.method import AnswerUse, StatefulObjective
from easq.model.objective import Losses, Supervision
from easq.model.own_weights import OwnWeights
from easq.model.pooling import SummedPooling
from easq.model.scores import Scores


class NonFiniteLossError(ArithmeticError):
    """A loss is not finite; the parameters are those from before the step."""


@dataclass(frozen=True)
class StepResult:
    """Scores and losses of one step from before its update, and the mean number of active experts per row.

    touched_U        table rows that the step read and may have changed.
    crosses_U        crosses whose weights it changed.
    satisfaction_L   scores of the rows of answered requests, which start at `batch.num_viewed`.
    gradient         norm of the dense part's gradient before clipping.
    chance_MK        chances of the viewed rows' behaviors, of a method that predicts them.
    behavior_N       the score that behavior trains, if it is not the served one.
    satisfaction_M   scores of viewed rows from when an answer about their request came, NaN where none did;
                     None before they are looked up (prove/offline/first_scores.py).
    signals          whether a path that answers train is alive (model/answer_signals.py).
    """

    batch: Batch
    touched_U: I64
    served_N: F32
    satisfaction_L: F32 | None
    losses: dict[str, float]
    active_experts: float
    active_satisfaction_experts: float | None
    gradient: float = 0.0
    chance_MK: F32 | None = None
    signals: dict[str, float] = field(default_factory=dict)
    crosses_U: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    behavior_N: F32 | None = None
    satisfaction_M: F32 | None = None


class Learner:
    """A ranking model in training: pooling, network, embedding table, optimizer and replay buffers.

    answer_use        how the method uses answers; None if it reads none, and then `buffer` stays empty.
    buffer            answered rows, of which `replayed` join each step.
    labelled          views with both behavior and an answer, for methods that read them.
    drops_uncertain   whether options between the worst and the best are left out of training.
    """

    def __init__(
        self,
        method: BuiltMethod,
        table: EmbeddingTable,
        dense_statistics: DenseStatistics,
        *,
        answer_use: AnswerUse | None,
        buffer: ReplayBuffer,
        labelled: LabelledViews | None,
        replayed: int,
        drops_uncertain: bool,
        num_options: int,
        optimizer: Callable[[nn.Module], DenseOptimizer],
        seed: int,
    ) -> None:
        self.pooling, self.network, self.objective = method
        self.table, self.buffer, self.labelled = table, buffer, labelled
        self._dense_statistics = dense_statistics
        self._own = None
        if answer_use is not None and answer_use.own_rate:
            crosses = table.crosses
            num, per_row = (0, 1) if crosses is None else (NUM_CROSSES, max(1, crosses.per_row))
            rates = answer_use.own_rate, answer_use.cross_rate / per_row**0.5
            self._own = OwnWeights(len(table.weight), rates[0], num_crosses=num, cross_rate=rates[1])
        self.answer_use, self._replayed, self._drops_uncertain = answer_use, replayed, drops_uncertain
        self._num_options = num_options
        wait = 0 if answer_use is None else answer_use.wait
        self._waiting = WaitingAnswers(wait) if wait else None
        self.dense = nn.ModuleDict({"pooling": self.pooling, "model": self.network})
        self._optimizer = optimizer(self.dense)
        self._random = np.random.default_rng(seed)
        self.step_count = 0

    @torch.no_grad()
    def score(self, batch: Batch) -> F32:
        """Return the served score of every row."""
        touched = self.table.touch(batch.rows)
        x = self.pooling(touched, torch.from_numpy(batch.rows.request_N))
        return _array(self.network(x).served_N)

    def step(self, batch: Batch) -> StepResult:
        """Score the batch, learn from it, and return the scores from before the update.

        Raises NonFiniteLossError, with nothing changed, if a loss is not finite.
        """
        rows, own, pairs, labelled = batch.rows, None, None, None
        bounded_A, random = batch.weight_A, self._random.bit_generator.state
        if self.answer_use is not None:
            num_replayed = self._replayed if self.answer_use.replays else 0
            replayed = self.buffer.sample(num_replayed, self.answer_use.partners, self._random)
            use = self.answer_use
            own = answered_rows(batch, use.list_length, with_dense=use.keeps_dense)
            bounded_A = self.buffer.bounded(own.user_A, own.weight_A, new=True)
            if self._waiting is not None:
                replayed = joined(replayed, self._waiting.released(own._replace(weight_A=bounded_A)))
            pairs = answer_rows(
                batch,
                replayed,
                self._num_options,
                self.answer_use,
                drops_uncertain=self._drops_uncertain,
                bounded_A=bounded_A,
                has_new=self._waiting is None,
            )
            rows = with_replayed(rows, replayed)
        if self.labelled is not None:
            rows, labelled = self.labelled.join(batch, rows, self._random)
        touched = self.table.touch(rows)
        x = self.pooling(touched, torch.from_numpy(rows.request_N))
        # An objective that reads the batch's own answers reads them with the weights that are learned.
        weighed = replace(batch, weight_A=self._learned_weights(batch, bounded_A))
        scores, loss = self.objective(x, Supervision(weighed, pairs, labelled))
        values = {name: float(value.detach()) for name, value in loss.named().items()}
        if not np.isfinite(float(loss.total.detach())):
            self._random.bit_generator.state = random
            raise NonFiniteLossError(f"step {self.step_count}: the losses are {values}; nothing was changed")
        gradient = 0.0
        if loss.total.requires_grad:
            self._optimizer.zero_grad()
            torch.autograd.backward(loss.total)
            gradient = self._optimizer.step()
            self.table.step(touched, max(1, batch.num_viewed))
        crosses_U = np.zeros(0, np.int64)
        if own is not None:
            crosses_U = self._learn_own(weighed)
            self.buffer.add(own)
            if self._waiting is not None:
                self._waiting.add(own._replace(weight_A=bounded_A))
        if self.labelled is not None:
            self.labelled.add(batch)
        loss.after_step()
        self._dense_statistics.add(batch)
        self.step_count += 1
        result = self._report(batch, touched.rows_U, scores, loss, values, gradient)
        return replace(result, crosses_U=crosses_U)

    def _learned_weights(self, batch: Batch, bounded_A: F32) -> F32:
        if not self._drops_uncertain:
            return bounded_A
        is_certain_A = batch.option_A % (self._num_options - 1) == 0
        return np.where(is_certain_A, bounded_A, np.float32(0))

    def _learn_own(self, batch: Batch) -> I64:
        """Move the weights that answers alone train, if the method has them; return the changed crosses."""
        if self._own is None:
            return np.zeros(0, np.int64)
        assert isinstance(self.pooling, SummedPooling)
        best, rows = self._num_options - 1, batch.rows
        row_A, num_rows = batch.answer_row_A, len(self.table.weight)
        viewer_AW, candidate_AV = rows.viewer_BW[rows.request_N[row_A]], rows.candidate_NV[row_A]
        is_past_AW = self.pooling.is_past_W & (viewer_AW > 0)
        values = [np.where(is_past_AW, viewer_AW + num_rows, viewer_AW), candidate_AV]
        first, crosses = self._own.first_cross, self.table.crosses
        if crosses is not None:
            of_each = torch.arange(len(row_A))
            place_AX = crosses.places(
                torch.from_numpy(viewer_AW), of_each, torch.from_numpy(candidate_AV)
            ).numpy()
            values.append(np.where(place_AX < NUM_CROSSES, first + place_AX.astype(np.int64), 0))
        changed, weights = self._own.learn(np.concatenate(values, 1), batch.option_A / best, batch.weight_A)
        for number, column in enumerate(self.pooling.own_columns):
            is_there = changed // num_rows == number
            row_U = torch.from_numpy(changed[is_there] % num_rows)
            self.table.weight[row_U, column] = torch.from_numpy(weights[is_there]).float()
        is_cross = changed >= first
        crosses_U: I64 = changed[is_cross] - first
        if crosses is not None:
            crosses.weight[torch.from_numpy(crosses_U)] = torch.from_numpy(weights[is_cross]).float()
        return crosses_U

    def forget(self, user_A: I64) -> None:
        """Drop the buffered answers of viewers; what the parameters learned from them stays."""
        self.buffer.forget(user_A)
        if self._waiting is not None:
            self._waiting.forget(user_A)
        if self.labelled is not None:
            self.labelled.forget(user_A)

    def _report(
        self,
        batch: Batch,
        touched_U: I64,
        scores: Scores,
        loss: Losses,
        values: dict[str, float],
        gradient: float,
    ) -> StepResult:
        satisfaction, gates = scores.satisfaction_A, scores.satisfaction_gate_AK
        num, logit_NK = len(batch.rows.request_N), scores.behavior_logit_NK
        return StepResult(
            batch=batch,
            touched_U=touched_U,
            served_N=_array(scores.served_N[:num]),
            satisfaction_L=None if satisfaction is None else _array(satisfaction[: num - batch.num_viewed]),
            losses=values,
            active_experts=_active(scores.gate_NK[:num]),
            active_satisfaction_experts=None if gates is None or not len(gates) else _active(gates),
            gradient=gradient,
            chance_MK=None if logit_NK is None else _array(logit_NK[: batch.num_viewed].sigmoid()),
            signals=loss.signals,
            behavior_N=None if scores.behavior_N is None else _array(scores.behavior_N[:num]),
        )

    def state(self) -> Nested:
        """Return parameters, optimizer, replay buffers and random state."""
        random = json.dumps(self._random.bit_generator.state).encode()
        state: dict[str, Nested | np.ndarray] = {
            "table": self.table.state(),
            "dense": {name: value.numpy() for name, value in self.dense.state_dict().items()},
            **self._optimizer.state(),
            "buffer": self.buffer.state(),
            "random": np.frombuffer(random, np.uint8),
            "steps": np.array([self.step_count]),
        }
        if self.labelled is not None:
            state["labelled"] = self.labelled.state()
        if isinstance(self.objective, StatefulObjective):
            state["objective"] = self.objective.state()
        if self._own is not None:
            state["own"] = self._own.state()
        if self._waiting is not None:
            state["waiting"] = self._waiting.state()
        if numbers := self._dense_statistics.state():
            state["numbers"] = numbers
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.table.restore(state["table"])
        self.dense.load_state_dict({name: _tensor(value) for name, value in state["dense"].items()})
        self._optimizer.restore(state)
        self.buffer.restore(state["buffer"])
        if self.labelled is not None:
            self.labelled.restore(state["labelled"])
        if isinstance(self.objective, StatefulObjective):
            self.objective.restore(state["objective"])
        if self._own is not None:
            self._own.restore(state["own"])
        if self._waiting is not None:
            self._waiting.restore(state.get("waiting", {}))
        self._dense_statistics.restore(state.get("numbers", {}))
        self._random.bit_generator.state = json.loads(state["random"].tobytes())
        self.step_count = int(state["steps"][0])

    def upgraded(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a stored state as today's `state` would have it; an earlier release may have stored it."""
        if self.labelled is None:
            return state
        return {**state, "labelled": self.labelled.upgraded(state["labelled"])}


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.copy())


def _array(values: torch.Tensor) -> F32:
    array: F32 = values.detach().numpy()
    return array


def _active(gates: torch.Tensor) -> float:
    return float((gates > 0).sum(1).float().mean()) if len(gates) else 0.0
