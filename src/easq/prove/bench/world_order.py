"""The order in which a log's reader would complete a world's examples, without the log.

A chunk's events are appended in order of time; each partition keeps the latest time it has seen, and
partitions are read in order of (that time, partition, offset), as log/merge.py reads them. A request is
viewed at the first event of its partition after its window; an answer counts where it stands.
Shapes: E events and R requests of a chunk, X completed examples. Requests are numbered through the world.
"""

from dataclasses import dataclass

import numpy as np

from easq.arrays import I64
from easq.sources.world.recording import TO_ANSWER_MS, VIEW_MS, request_ids
from easq.sources.world.simulate import WorldChunk


@dataclass(frozen=True)
class Completed:
    """Examples in order: the request, and the answered position, -1 for a view of the whole request."""

    request_X: I64
    position_X: I64

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.request_X)


class WorldOrder:
    """Follows a world chunk by chunk; `window_ms` is the behaviors' window and the lateness together."""

    def __init__(self, partition_U: I64, num_partitions: int, window_ms: int) -> None:
        self._partition_U, self._num, self._window_ms = partition_U, num_partitions, window_ms
        self._newest_P = np.zeros(num_partitions, np.int64)
        self._offset_P = np.zeros(num_partitions, np.int64)
        # Requests whose window is open, by partition, in the order in which a joiner's heap has them.
        nothing = np.zeros(0, np.int64)
        self._open: list[tuple[I64, I64, list[str]]] = [(nothing, nothing, [])] * num_partitions
        # Completed but perhaps not before what the next chunk completes: sort keys, then the example.
        self._held = np.zeros((_COLUMNS, 0), np.int64)

    def push(self, chunk: WorldChunk, first: int) -> Completed:
        """Take a chunk whose first request has number `first`; return what no later chunk can precede."""
        completed = self._release(int(chunk.ts_R[0]))
        request_E, position_E, ts_E = _events(chunk)
        partition_E = self._partition_U[chunk.user_R[request_E]]
        partition_R = self._partition_U[chunk.user_R]
        names = np.array(request_ids(chunk), object)
        parts = [self._held]
        for p in range(self._num):
            at_E = np.flatnonzero(partition_E == p)
            key_E = np.maximum.accumulate(np.maximum(ts_E[at_E], self._newest_P[p]))
            offset_E = self._offset_P[p] + np.arange(len(at_E))
            is_answer = position_E[at_E] >= 0
            request = first + request_E[at_E]
            zero = np.zeros(int(is_answer.sum()), np.int64)
            parts.append(
                np.stack([key_E[is_answer], zero + p, offset_E[is_answer], zero, zero,
                          request[is_answer], position_E[at_E][is_answer]])
            )  # fmt: skip
            mine = np.flatnonzero(partition_R == p)
            self._add_open(p, chunk.ts_R[mine] + self._window_ms, first + mine, names[mine].tolist())
            parts.append(self._close(p, key_E, offset_E))
            if len(at_E):
                self._newest_P[p] = key_E[-1]
                self._offset_P[p] += len(at_E)
        self._held = np.concatenate(parts, 1)
        return completed

    def finish(self) -> Completed:
        """Return the rest, as at the end of a log: what is held, then all open windows by partition."""
        rest = self._release(None)
        requests = np.concatenate([rest.request_X, *(numbers for _, numbers, _ in self._open)])
        positions = np.concatenate([rest.position_X, np.full(len(requests) - len(rest), -1)])
        return Completed(requests, positions)

    def oldest(self, otherwise: int) -> int:
        """Return the oldest request that is yet to be completed, `otherwise` if that is older."""
        numbers = [number for _, number, _ in self._open]
        return int(np.concatenate([*numbers, self._held[5]]).min(initial=otherwise))

    def _add_open(self, p: int, due_R: I64, number_R: I64, names: list[str]) -> None:
        due, number, all_names = self._open[p]
        due, number = np.concatenate([due, due_R]), np.concatenate([number, number_R])
        all_names = all_names + names
        order = np.argsort(due, kind="stable")
        if (np.diff(due[order]) == 0).any():
            # Requests of one millisecond close in the order of their names.
            order = np.array(sorted(range(len(due)), key=lambda i: (due[i], all_names[i])))
        self._open[p] = (due[order], number[order], [all_names[i] for i in order.tolist()])

    def _close(self, p: int, key_E: I64, offset_E: I64) -> I64:
        due, number, names = self._open[p]
        event = np.searchsorted(key_E, due, side="right")
        num = int(np.searchsorted(event, len(key_E)))
        self._open[p] = (due[num:], number[num:], names[num:])
        event, ones = event[:num], np.ones(num, np.int64)
        return np.stack([key_E[event], ones * p, offset_E[event], ones, np.arange(num), number[:num], -ones])

    def _release(self, until: int | None) -> Completed:
        """Take out of `_held`, in order, what completes before a time."""
        held = self._held
        ready = np.ones(held.shape[1], np.bool_) if until is None else held[0] < until
        self._held, due = held[:, ~ready], held[:, ready]
        due = due[:, np.lexsort(due[4::-1])]
        return Completed(due[5], due[6])


_COLUMNS = 7
"""Time, partition, offset, an answer before the windows that its event closes, their order; the example."""


def _events(chunk: WorldChunk) -> tuple[I64, I64, I64]:
    """Return request, answered position (or -1) and time of a chunk's events, as record.py orders them."""
    num, size = chunk.item_RC.shape
    request_R, nothing_R = np.arange(num), np.full(num, -1)
    asked_request, asked = np.nonzero(chunk.asked_RC)
    answered_request, answered = np.nonzero(chunk.option_RC >= 0)
    request_E = np.concatenate([request_R, request_R, request_R, asked_request, answered_request])
    position_E = np.concatenate([nothing_R, nothing_R, nothing_R, np.full(len(asked), -1), answered])
    half, whole = VIEW_MS * (size // 2), VIEW_MS * size
    after_E = np.concatenate(
        [
            np.zeros(num, np.int64), np.full(num, half), np.full(num, whole),
            VIEW_MS * (asked + 1), VIEW_MS * (answered + 1) + TO_ANSWER_MS,
        ]
    )  # fmt: skip
    said_E = np.concatenate([nothing_R, nothing_R + 1, nothing_R + 2, 3 + 2 * asked, 4 + 2 * answered])
    ts_E = chunk.ts_R[request_E] + after_E
    order = np.lexsort((said_E, request_E, ts_E))
    return request_E[order], position_E[order], ts_E[order]
