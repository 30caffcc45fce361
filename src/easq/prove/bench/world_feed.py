"""Batches directly from a world, equal to those that its log would yield after joining and batching.

Most of the time of a replay is the cost of passing events through a log, a joiner and a batcher. A benchmark
that compares methods on a world needs none of it: here examples are array rows, in the order in which a
reader of the log would complete them (world_order.py). A test checks that both ways give equal batches.
Shapes: as in easq.features.batch; S requests that are held.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, I64, Bool
from easq.features.batch import Batch, levels
from easq.features.encode import Encoder, Ragged, Rows
from easq.log.base import partition_of
from easq.log.ids import stable_id
from easq.prove.bench.world_order import Completed, WorldOrder
from easq.recipe.recipe import Recipe
from easq.sources.world.exact import expected_level
from easq.sources.world.recording import OPTIONS, QUESTION, TO_ANSWER_MS, VIEW_MS, request_ids
from easq.sources.world.simulate import World, WorldChunk
from easq.sources.world.world_features import candidate_columns, tags, viewer_columns

_MINUTE = 60_000
_HOLD, _SPARE = 4, 5
_EARLIER = 200_000


class FedBatch(NamedTuple):
    """A batch, and columns that are only for measuring and never reach a model.

    For each viewed row: the true satisfaction, the option of an answer that was held back, or -1, and the
    expected level, if it is asked for. For each viewed request: whether it was drawn to have no answer
    learned, if any was.
    """

    batch: Batch
    satisfaction_M: F32
    held_M: I64
    expected_M: F32 | None = None
    spared_B: Bool | None = None


def feed(
    world: World,
    num_requests: int,
    recipe: Recipe,
    encoder: Encoder,
    num_partitions: int = 4,
    kept: float = 1.0,
    spared: float = 0.0,
    warm_requests: int = 0,
    expects_after: float = inf,
) -> Iterator[FedBatch]:
    """Yield the batches of a fresh world, equal to those of its log with as many partitions.

    The share `kept` of the answers is in the batches, drawn so that a smaller share is part of a larger one.
    The rest is held back, as if these views had not been asked about, and so are all answers of the first
    `warm_requests` and of the share `spared` of the requests, drawn by lot. Batches that go beyond
    `expects_after` viewed rows have expected levels, which take a second per 100,000.
    Raises ValueError for a recipe whose question differs from the world's, or whose windows are so short that
    events would come late: only a log can represent that.
    """
    option_of = _options(recipe)
    window_ms = round(recipe.join.behavior_window * _MINUTE)
    shortest = 2 * (VIEW_MS * world.candidates + TO_ANSWER_MS)
    if window_ms < shortest:
        raise ValueError(f"join.behavior_window must be {shortest / _MINUTE:.1f} minutes or more for a feed")
    users = [f"u{user}" for user in range(len(world.viewers.segment_U))]
    partition_U = np.array([partition_of(user, num_partitions) for user in users])
    order = WorldOrder(partition_U, num_partitions, window_ms + round(recipe.join.lateness * _MINUTE))
    maker = _Maker(
        world, recipe, encoder, option_of, np.array([stable_id(user) for user in users]), expects_after
    )
    cutter = _Cutter(recipe.training.batch_rows, recipe.training.batch_answers, world.candidates)
    first = 0
    for whole in world.chunks(num_requests):
        spared_R = _lots(_SPARE, whole).random(len(whole.ts_R)) < spared
        chunk, held_RC = _held_back(
            whole, kept, spared_R | (first + np.arange(len(spared_R)) < warm_requests)
        )
        chunk = replace(chunk, propensity=chunk.propensity * (1 - spared))
        completed = order.push(chunk, first)
        maker.hold(chunk, held_RC, spared_R if spared else None)
        first += len(chunk.ts_R)
        for cut in cutter.cuts(completed):
            yield maker.make(cut)
        maker.release(cutter.oldest(order.oldest(first)))
    for cut in cutter.cuts(order.finish(), final=True):
        yield maker.make(cut)


def _lots(kind: int, chunk: WorldChunk) -> np.random.Generator:
    """Return what draws for a chunk. Its name includes its world's, so equal worlds draw equal lots."""
    return np.random.default_rng([kind, crc32(chunk.name.encode())])


def _held_back(chunk: WorldChunk, kept: float, silent_R: Bool) -> tuple[WorldChunk, I64]:
    """Return a chunk with the share `kept` of its answers, and the options of the others.

    Of silent requests no answer is kept.
    """
    is_held_RC = _lots(_HOLD, chunk).random(chunk.option_RC.shape) >= kept
    is_held_RC |= silent_R[:, None]
    held_RC = np.where(is_held_RC, chunk.option_RC, -1)
    option_RC = np.where(is_held_RC, -1, chunk.option_RC)
    return replace(chunk, option_RC=option_RC, propensity=chunk.propensity * kept), held_RC


def _options(recipe: Recipe) -> I64:
    question = recipe.question
    if question.name != QUESTION or not set(OPTIONS) <= set(question.options):
        raise ValueError(f"the question must be {QUESTION!r} with the options {', '.join(OPTIONS)}")
    return np.array([question.options.index(option) for option in OPTIONS])


class _Cutter:
    """The batcher's rule on arrays: a step is full at so many viewed rows or so many answers."""

    def __init__(self, batch_rows: int, batch_answers: int, num_candidates: int) -> None:
        self._rows, self._answers, self._candidates = batch_rows, batch_answers, num_candidates
        self._queue = Completed(np.zeros(0, np.int64), np.zeros(0, np.int64))

    def cuts(self, completed: Completed, final: bool = False) -> Iterator[Completed]:
        """Append examples to the queue; yield every full step, and finally the rest."""
        request_X = np.concatenate([self._queue.request_X, completed.request_X])
        position_X = np.concatenate([self._queue.position_X, completed.position_X])
        rows_X = np.cumsum(np.where(position_X < 0, self._candidates, 0))
        answers_X = np.cumsum(position_X >= 0)
        start = rows = answers = 0
        while start < len(request_X):
            full = 1 + min(
                int(np.searchsorted(rows_X, rows + self._rows)),
                int(np.searchsorted(answers_X, answers + self._answers)),
            )
            if full > len(request_X) and not final:
                break
            yield Completed(request_X[start:full], position_X[start:full])
            start = min(full, len(request_X))
            rows, answers = rows_X[start - 1], answers_X[start - 1]
        self._queue = Completed(request_X[start:], position_X[start:])

    def oldest(self, otherwise: int) -> int:
        """Return the oldest request in the queue, `otherwise` if that is older."""
        return int(self._queue.request_X.min(initial=otherwise))


@dataclass
class _Held:
    """The requests that may still be needed, one row each; the first has number `first`."""

    first: int
    names: list[str]
    columns: dict[str, NDArray[Any]]


class _Maker:
    """Lays out cuts as batches, as easq.features.batch.make_batch does from examples."""

    def __init__(
        self,
        world: World,
        recipe: Recipe,
        encoder: Encoder,
        option_of: I64,
        stable_U: I64,
        expects_after: float,
    ) -> None:
        self._world, self._encoder, self._stable_U = world, encoder, stable_U
        self._option_of = np.concatenate([option_of, [-1]])
        self._behaviors, self._cap = recipe.behaviors, recipe.order.cap
        self._crc_I = np.zeros(0, np.int64)
        self._held: _Held | None = None
        self._propensity = world.propensity
        self._made = self._lived = 0
        self._expects_after = expects_after

    def hold(self, chunk: WorldChunk, held_RC: I64, spared_R: Bool | None) -> None:
        """Keep a chunk's requests, which answers were held back, and which requests have none by lot."""
        self._propensity = chunk.propensity
        columns: dict[str, NDArray[Any]] = {
            "user": chunk.user_R, "ts": chunk.ts_R, "item": chunk.item_RC, "age": chunk.age_days_RC,
            "history": chunk.history_RL, "history_size": chunk.history_size_R,
            "option": chunk.option_RC, "held": held_RC, "truth": chunk.satisfaction_RC,
        }  # fmt: skip
        if spared_R is not None:
            columns["spared"] = spared_R
        if self._expects_after < inf:
            columns["expected"] = self._expected(chunk)
        did = chunk.behaviors
        for behavior in self._behaviors:
            none_RC = np.zeros_like(chunk.play_s_RC)
            columns["did " + behavior.name] = did.get(behavior.name, none_RC) >= np.float32(behavior.at_least)
        names = request_ids(chunk)
        if self._held is None:
            self._held = _Held(0, names, columns)
        else:
            self._held.names += names
            self._held.columns = {
                name: np.concatenate([column, columns[name]]) for name, column in self._held.columns.items()
            }

    def release(self, oldest: int) -> None:
        """Drop the requests before `oldest`."""
        held = self._held
        assert held is not None
        gone = oldest - held.first
        columns = {name: column[gone:] for name, column in held.columns.items()}
        self._held = _Held(oldest, held.names[gone:], columns)

    def make(self, cut: Completed) -> FedBatch:
        """Return the batch of a step's examples."""
        held = self._held
        assert held is not None
        is_answer = cut.position_X >= 0
        viewed = cut.request_X[~is_answer] - held.first
        asked, position_A = cut.request_X[is_answer] - held.first, cut.position_X[is_answer]
        listed, first, inverse = np.unique(asked, return_index=True, return_inverse=True)
        # Answered requests stand in the order of their first answer.
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        place_B = np.concatenate([viewed, listed[np.argsort(first)]])
        get = held.columns
        num_candidates = self._world.candidates
        behavior_MK = np.stack([get["did " + b.name][viewed].ravel() for b in self._behaviors], 1)
        item_N = get["item"][place_B].ravel()
        batch = Batch.of_columns(
            rows=self._rows(place_B),
            level_M=levels(behavior_MK, self._behaviors, self._cap),
            behavior_MK=behavior_MK,
            answer_M=self._option_of[get["option"][viewed].ravel()],
            item_N=self._crc(item_N),
            position_N=np.tile(np.arange(num_candidates), len(place_B)),
            user_B=self._stable_U[get["user"][place_B]],
            ts_B=get["ts"][place_B],
            request_ids=[held.names[i] for i in place_B.tolist()],
            answer_row_A=(len(viewed) + rank[inverse]) * num_candidates + position_A,
            option_A=self._option_of[get["option"][asked, position_A]],
            propensity_A=np.full(len(asked), self._propensity, np.float32),
        )
        self._made += batch.num_viewed
        expected_M = get["expected"][viewed].ravel() if self._made > self._expects_after else None
        held_M = self._option_of[get["held"][viewed].ravel()]
        spared_B = get["spared"][viewed] if "spared" in get else None
        return FedBatch(batch, get["truth"][viewed].ravel(), held_M, expected_M, spared_B)

    def _expected(self, chunk: WorldChunk) -> F32:
        """Return the levels to be expected of a chunk; zeros where all of it comes before they are wanted."""
        self._lived += chunk.item_RC.size
        # The first batch wanted begins with views from before, and views wait for a chunk or two.
        if self._lived <= self._expects_after - _EARLIER:
            return np.zeros_like(chunk.play_s_RC)
        return expected_level(self._world.exposure(chunk), self._behaviors, self._cap)

    def _rows(self, place_B: I64) -> Rows:
        assert self._held is not None
        get, items = self._held.columns, self._world.catalogue
        size_B, item_BC = get["history_size"][place_B], get["item"][place_B]
        kept_BL = np.arange(self._world.history) < size_B[:, None]
        viewer = viewer_columns(self._world.viewers, get["user"][place_B], get["ts"][place_B])
        candidate = candidate_columns(items, item_BC, get["age"][place_B])
        tags_BCG = tags(items, item_BC)
        return self._encoder.encode_columns(
            np.full(len(place_B), item_BC.shape[1]),
            {**viewer, "recent_items": Ragged(get["history"][place_B][kept_BL], size_B)},
            {name: column.ravel() for name, column in candidate.items()}
            | {"tags": Ragged(tags_BCG.ravel(), np.full(item_BC.size, tags_BCG.shape[2]))},
        )

    def _crc(self, item_N: I64) -> I64:
        new = range(len(self._crc_I), len(self._world.catalogue.topic_I))
        if new:
            self._crc_I = np.concatenate([self._crc_I, [crc32(b"i%d" % item) for item in new]])
        return self._crc_I[item_N]
