"""From examples to batches: cut the queue of examples into steps, and lay out each step as arrays.

Shapes: B requests, N rows (candidates), M <= N rows of viewed requests, K behaviors, A answers.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from zlib import crc32

import msgspec
import numpy as np

from easq.arrays import F32, I64, Bool
from easq.features.encode import Encoder, Rows
from easq.features.examples import AnsweredView, Example, Viewed
from easq.log.events import Request
from easq.log.ids import stable_id
from easq.log.packing import FLOAT
from easq.recipe.features import BehaviorKind


@dataclass(frozen=True)
class Batch:
    """One step's examples.

    `answer_M` is the option chosen on a view, or -1, and `answer_weight_M` how much it counts.
    `fresh_A` marks the answers to requests whose behavior had not been learned before.

    Rows below `num_viewed` are the exposed candidates of viewed requests. They are followed by all
    candidates of the answered requests, so that an answer is measured within its list.

    `reference_M` are another ranker's scores, against which a price is held; None: there is none.
    `requests` are the B requests as the log holds them; empty where there is no log.
    """

    rows: Rows
    num_viewed: int
    level_M: F32
    behavior_MK: Bool
    answer_M: I64
    answer_weight_M: F32
    item_N: I64
    position_N: I64
    user_B: I64
    ts_B: I64
    request_ids: list[str]
    answer_row_A: I64
    option_A: I64
    propensity_A: F32
    weight_A: F32
    fresh_A: Bool
    reference_M: F32 | None = None
    requests: Sequence[Request] = ()

    @staticmethod
    def of_columns(
        *,
        rows: Rows,
        level_M: F32,
        behavior_MK: Bool,
        answer_M: I64,
        item_N: I64,
        position_N: I64,
        user_B: I64,
        ts_B: I64,
        request_ids: list[str],
        answer_row_A: I64,
        option_A: I64,
        propensity_A: F32,
        answer_weight_M: F32 | None = None,
        weight_A: F32 | None = None,
        fresh_A: Bool | None = None,
        requests: Sequence[Request] = (),
    ) -> "Batch":
        """Return a batch of columns. Weights that are not given are 1, and answers fresh."""
        num_viewed, num_answers = len(level_M), len(option_A)
        return Batch(
            rows=rows,
            num_viewed=num_viewed,
            level_M=level_M,
            behavior_MK=behavior_MK,
            answer_M=answer_M,
            answer_weight_M=np.ones(num_viewed, np.float32) if answer_weight_M is None else answer_weight_M,
            item_N=item_N,
            position_N=position_N,
            user_B=user_B,
            ts_B=ts_B,
            request_ids=request_ids,
            answer_row_A=answer_row_A,
            option_A=option_A,
            propensity_A=propensity_A,
            weight_A=np.ones(num_answers, np.float32) if weight_A is None else weight_A,
            fresh_A=np.ones(num_answers, np.bool_) if fresh_A is None else fresh_A,
            requests=requests,
        )


def levels(behavior_MK: Bool, behaviors: Sequence[BehaviorKind], cap: float) -> F32:
    """Return each row's level: the sum of its behaviors' weights, at most `cap` ([order] of a recipe)."""
    weight_K = np.array([b.weight for b in behaviors], np.float32)
    level_M: F32 = np.minimum(behavior_MK @ weight_K, np.float32(cap))
    return level_M


class Batcher:
    """A queue of examples, cut once it holds `batch_rows` viewed rows or `batch_answers` answers.

    The cuts depend only on the order of the examples, not on when they arrived.
    """

    def __init__(self, batch_rows: int, batch_answers: int) -> None:
        self._batch_rows, self._batch_answers = batch_rows, batch_answers
        self._queue: deque[Example] = deque()
        self._rows = self._answers = 0

    def add(self, examples: Iterable[Example]) -> None:
        """Append examples to the queue, except requests without reports, which teach nothing."""
        for example in examples:
            if isinstance(example, AnsweredView):
                self._answers += 1
            elif example.reports:
                self._rows += example.num_reported
            else:
                continue
            self._queue.append(example)

    def cut(self, final: bool = False) -> list[Example]:
        """Return the next step's examples, or none if there are too few. With `final`, return the rest."""
        if not final and self._rows < self._batch_rows and self._answers < self._batch_answers:
            return []
        examples: list[Example] = []
        rows = answers = 0
        while self._queue and rows < self._batch_rows and answers < self._batch_answers:
            example = self._queue.popleft()
            examples.append(example)
            if isinstance(example, Viewed):
                rows += example.num_reported
            else:
                answers += 1
        self._rows -= rows
        self._answers -= answers
        return examples

    @property
    def waiting(self) -> tuple[int, int]:
        """Return the numbers of viewed rows and of answers in the queue."""
        return self._rows, self._answers

    def forget(self, users: Collection[str]) -> None:
        """Drop the examples of viewers."""
        others = [example for example in self._queue if example.request.user_id not in users]
        self._queue.clear()
        self._rows = self._answers = 0
        self.add(others)

    def state(self) -> bytes:
        """Return the queue as MessagePack. Equal queues give equal bytes."""
        return msgspec.msgpack.encode(list(self._queue), order="deterministic")

    def restore(self, data: bytes) -> None:
        """Continue from what `state` returned."""
        self._queue.clear()
        self._rows = self._answers = 0
        self.add(msgspec.msgpack.decode(data, type=list[Example]))


def make_batch(
    encoder: Encoder, behaviors: Sequence[BehaviorKind], cap: float, examples: Sequence[Example]
) -> Batch:
    """Lay out a step's examples as arrays. `cap` is the largest level of an item ([order] of the recipe).

    Raises InputError for a request without the columns of the encoder's features.
    """
    viewed = [e for e in examples if isinstance(e, Viewed)]
    answers = [e for e in examples if isinstance(e, AnsweredView)]
    answered = {e.request.event_id: e.request for e in answers}
    requests = [e.request for e in viewed] + list(answered.values())
    rows = encoder.encode(requests)
    start_B = np.cumsum([0, *(len(r.items) for r in requests)])
    num_candidates = int(start_B[len(viewed)])

    value_MK, exposed_M = reported(viewed, start_B, behaviors)
    behavior_MK = value_MK >= np.array([b.at_least for b in behaviors], np.float32)
    level_M = levels(behavior_MK, behaviors, cap)
    answer_M = np.full(num_candidates, -1, np.int64)
    answer_weight_M = np.ones(num_candidates, np.float32)
    for start, view in zip(start_B, viewed, strict=False):
        for position, option in view.answers:
            answer_M[start + position] = option
        for position, weight in view.weights:
            answer_weight_M[start + position] = weight

    # Candidates that were not exposed teach nothing: of viewed requests only exposed rows are used.
    keep_N = np.concatenate([exposed_M, np.ones(int(start_B[-1]) - num_candidates, np.bool_)])
    place_N = np.cumsum(keep_N) - 1
    first = dict(zip(answered, start_B[len(viewed) :].tolist(), strict=False))
    answer_row_A = place_N[[first[e.request.event_id] + e.position for e in answers]]
    items = [crc32(item.encode()) for request in requests for item in request.items]
    return Batch.of_columns(
        rows=rows.take(keep_N),
        level_M=level_M[exposed_M],
        behavior_MK=behavior_MK[exposed_M],
        answer_M=answer_M[exposed_M],
        answer_weight_M=answer_weight_M[exposed_M],
        item_N=np.array(items, np.int64)[keep_N],
        position_N=(np.arange(len(keep_N)) - start_B[rows.request_N])[keep_N],
        user_B=np.array([stable_id(r.user_id) for r in requests], np.int64),
        ts_B=np.array([r.ts for r in requests], np.int64),
        request_ids=[r.event_id for r in requests],
        answer_row_A=answer_row_A.astype(np.int64),
        option_A=np.array([e.option for e in answers], np.int64),
        propensity_A=np.array([e.propensity for e in answers], np.float32),
        weight_A=np.array([e.weight for e in answers], np.float32),
        fresh_A=np.array([not e.after_view for e in answers], np.bool_),
        requests=requests,
    )


def reported(viewed: Sequence[Viewed], start_B: I64, behaviors: Sequence[BehaviorKind]) -> tuple[F32, Bool]:
    """Return each candidate's largest reported value per behavior, and whether it was exposed.

    `start_B` holds the first row of each request, followed by the end of the last one.
    """
    reports = [
        (start, *report) for start, view in zip(start_B, viewed, strict=False) for report in view.reports
    ]
    num_candidates = int(start_B[len(viewed)])
    counts = [len(positions) for _, positions, _ in reports]
    place = np.fromiter(chain.from_iterable(positions for _, positions, _ in reports), np.int64, sum(counts))
    place += np.repeat(np.array([start for start, _, _ in reports], np.int64), counts)
    zeros = {n: bytes(n * FLOAT.itemsize) for n in set(counts)}
    value_MK = np.zeros((num_candidates, len(behaviors)), np.float32)
    for k, behavior in enumerate(behaviors):
        name = behavior.name
        column = b"".join(
            [e.values.get(name) or zeros[n] for n, (_, _, e) in zip(counts, reports, strict=True)]
        )
        # NaN is not a report.
        np.fmax.at(value_MK[:, k], place, np.frombuffer(column, FLOAT))
    exposed_M = np.zeros(num_candidates, np.bool_)
    exposed_M[place] = True
    return value_MK, exposed_M
