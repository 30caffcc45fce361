"""First scores: a request's scores from before any part of it was learned, stored until it is measured.

An answer is learned when it arrives, the behavior of its request only when the window closes. If the request
were scored then, one whose answers were already learned would be measured in sample. So all candidates of a
request are scored before any part of it is learned, and these scores are used for all its metrics. Only
answered requests are stored, until they close. A request without any report never closes, so beyond `_MOST`
the oldest are dropped.

Shapes: N rows, L rows of answered requests, C candidates of one request.
"""

import dataclasses

import msgspec
import numpy as np

from easq.arrays import F64
from easq.learn.learner import StepResult

_EXPERT = "expert"
_BEHAVIOR = "model.behavior"  # no scorer's name holds a point
_MOST = 1 << 16


class FirstScores:
    """Replaces later scores of each answered request by its first ones."""

    def __init__(self) -> None:
        self._first: dict[str, dict[str, F64]] = {}

    def apply(self, step: StepResult, scores: dict[str, F64]) -> tuple[StepResult, dict[str, F64]]:
        """Return the step and the scores by scorer as they were before any row's request was learned."""
        batch = step.batch
        request_N = batch.rows.request_N
        columns = {name: score_N.copy() for name, score_N in scores.items()}
        if step.satisfaction_L is not None:
            unlisted = np.full(batch.num_viewed, np.nan)
            columns[_EXPERT] = np.concatenate([unlisted, step.satisfaction_L.astype(np.float64)])
        if step.behavior_N is not None:
            columns[_BEHAVIOR] = step.behavior_N.astype(np.float64)
        estimate_M = np.full(batch.num_viewed, np.nan)
        start_B = np.searchsorted(request_N, np.arange(len(batch.request_ids) + 1))
        first_listed = int(request_N[batch.num_viewed]) if batch.num_viewed < len(request_N) else len(start_B)
        # An answer after the view is not measured; its scores would wait for a window already closed.
        for number in np.unique(request_N[batch.answer_row_A[batch.fresh_A]]).tolist():
            rows, key = slice(start_B[number], start_B[number + 1]), batch.request_ids[number]
            # Copies, since a part of a column would hold all of it in memory.
            first_scores = self._first.setdefault(key, {name: c[rows].copy() for name, c in columns.items()})
            for name, first_C in first_scores.items():
                columns[name][rows] = first_C
        for number in range(min(first_listed, len(batch.request_ids))):
            closing = self._first.pop(batch.request_ids[number], None)
            if closing is not None:
                rows = slice(start_B[number], start_B[number + 1])
                for name in scores:
                    columns[name][rows] = closing[name][batch.position_N[rows]]
                if _BEHAVIOR in columns and _BEHAVIOR in closing:
                    columns[_BEHAVIOR][rows] = closing[_BEHAVIOR][batch.position_N[rows]]
                if _EXPERT in closing:
                    estimate_M[rows] = closing[_EXPERT][batch.position_N[rows]]
        while len(self._first) > _MOST:
            del self._first[next(iter(self._first))]
        expert_N, behavior_N = columns.pop(_EXPERT, None), columns.pop(_BEHAVIOR, None)
        first = dataclasses.replace(
            step,
            served_N=columns["model"].astype(np.float32),
            satisfaction_L=None if expert_N is None else expert_N[batch.num_viewed :].astype(np.float32),
            behavior_N=None if behavior_N is None else behavior_N.astype(np.float32),
            satisfaction_M=estimate_M.astype(np.float32),
        )
        return first, columns

    def state(self) -> np.ndarray:
        """Return the stored scores."""
        plain = {key: {n: c.tolist() for n, c in columns.items()} for key, columns in self._first.items()}
        return np.frombuffer(msgspec.msgpack.encode(plain), np.uint8)

    def restore(self, state: np.ndarray) -> None:
        """Become the keeper whose `state` this is."""
        plain = msgspec.msgpack.decode(state.tobytes(), type=dict[str, dict[str, list[float]]])
        self._first = {key: {n: np.array(c) for n, c in columns.items()} for key, columns in plain.items()}
