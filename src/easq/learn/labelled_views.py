"""Views with both behavior and an answer: training data for privileged networks.

Behavior is known when a request's window closes, later than most answers, so these views have a replay
buffer of their own. Shapes: T labelled views, V embedding rows of a candidate, K behaviors.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from easq.arrays import I64
from easq.features.batch import Batch
from easq.features.encode import Rows
from easq.learn.answer_rows import with_replayed
from easq.learn.replay_buffer import AnsweredRows, ReplayBuffer
from easq.model.objective import LabelledRows


class LabelledViews:
    """A ring of the last `capacity` labelled views; `replayed` of them join each step.

    `viewer_weight` bounds what one viewer's views weigh together, as in the ReplayBuffer.
    """

    def __init__(
        self,
        capacity: int,
        replayed: int,
        viewer_width: int,
        candidate_width: int,
        num_behaviors: int,
        viewer_weight: float = 0.0,
        dense_widths: tuple[int, int] = (0, 0),
    ) -> None:
        self._buffer = ReplayBuffer(
            capacity, viewer_width, candidate_width, num_behaviors, viewer_weight, dense_widths
        )
        self._replayed, self._width = replayed, candidate_width

    def join(self, batch: Batch, rows: Rows, random: np.random.Generator) -> tuple[Rows, LabelledRows]:
        """Return a step's rows followed by replayed views, and all labelled rows among them."""
        past = self._buffer.sample(self._replayed, False, random)
        own = np.flatnonzero(batch.answer_M >= 0)
        user_T = batch.user_B[batch.rows.request_N[own]]
        own_weight_T = self._buffer.bounded(user_T, batch.answer_weight_M[own], new=True)
        replayed = len(rows.request_N) + np.arange(len(past.user_A))
        behavior_TK = np.concatenate([batch.behavior_MK[own], past.behavior_AK])
        labelled = LabelledRows(
            torch.from_numpy(np.concatenate([own, replayed])),
            torch.from_numpy(behavior_TK.astype(np.float32)),
            torch.from_numpy(np.concatenate([batch.answer_M[own], past.option_A])),
            torch.from_numpy(np.concatenate([own_weight_T, past.weight_A])),
        )
        return with_replayed(rows, past), labelled

    def add(self, batch: Batch) -> None:
        """Add a batch's labelled views."""
        own = np.flatnonzero(batch.answer_M >= 0)
        request_T, dense = batch.rows.request_N[own], batch.rows.dense
        nothing_T0 = np.zeros((len(own), 0), np.float32)
        self._buffer.add(
            AnsweredRows(
                viewer_AW=batch.rows.viewer_BW[request_T],
                candidate_AV=batch.rows.candidate_NV[own],
                user_A=batch.user_B[request_T],
                option_A=batch.answer_M[own],
                weight_A=batch.answer_weight_M[own],
                behavior_AK=batch.behavior_MK[own].astype(np.int64),
                viewer_dense_AX=nothing_T0 if dense is None else dense.viewer_BX[request_T],
                candidate_dense_AY=nothing_T0 if dense is None else dense.candidate_NY[own],
            )
        )

    def forget(self, user_A: I64) -> None:
        """Drop the views of viewers."""
        self._buffer.forget(user_A)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the state of the buffer."""
        return self._buffer.state()

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        self._buffer.restore(self.upgraded(state))

    def upgraded(self, state: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Return a state in today's form. In 0.1, behaviors stood behind the candidate's columns."""
        if "behavior_AK" in state:
            return state
        candidate_AV, behavior_AK = np.split(state["candidate_AV"], [self._width], axis=1)
        return {**state, "candidate_AV": candidate_AV, "behavior_AK": behavior_AK}
