"""Answered rows in and out of the replay buffer, with other candidates of their requests where needed.

A set-wise model scores a candidate among others, so a replayed answer comes with its list: the buffer's
candidate columns hold L rows side by side, the answered one first. Missing rows are zero, and infinite in
dense features.
Shapes: N rows of a batch, A answers, L rows of a list, V embedding rows of a candidate, Y numbers of its
dense features.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, I64, Bool
from easq.features.batch import Batch
from easq.features.encode import DenseRows, Rows
from easq.learn.replay_buffer import AnsweredRows
from easq.model.method import AnswerUse
from easq.model.objective import AnswerPairs
from easq.model.pairs import answer_pairs, list_pairs

T = TypeVar("T", bound=np.generic)


def answered_rows(batch: Batch, list_length: int, *, with_dense: bool = True) -> AnsweredRows:
    """Return a batch's answers in the form of the buffer, each with at most `list_length` candidates."""
    request_N, row_A = batch.rows.request_N, batch.answer_row_A
    request_A, dense = request_N[row_A], batch.rows.dense if with_dense else None
    nothing_A0 = np.zeros((len(row_A), 0), np.float32)
    row_AL, is_there_AL = row_A[:, None], np.ones((len(row_A), 1), np.bool_)
    if list_length > 1:
        row_AL, is_there_AL = _with_mates(batch, list_length)
    return AnsweredRows(
        viewer_AW=batch.rows.viewer_BW[request_A],
        candidate_AV=_listed(batch.rows.candidate_NV, row_AL, is_there_AL, 0),
        user_A=batch.user_B[request_A],
        option_A=batch.option_A,
        weight_A=batch.weight_A,
        behavior_AK=np.zeros((len(row_A), 0), np.int64),
        viewer_dense_AX=nothing_A0 if dense is None else dense.viewer_BX[request_A],
        candidate_dense_AY=nothing_A0
        if dense is None
        else _listed(dense.candidate_NY, row_AL, is_there_AL, np.inf),
    )


def with_replayed(rows: Rows, replayed: AnsweredRows) -> Rows:
    """Put replayed rows behind a batch, each list a request of its own."""
    start = len(rows.viewer_BW)
    dense_width = 0 if rows.dense is None else rows.dense.candidate_NY.shape[1]
    list_ALV, is_there_AL = _lists(replayed, rows.candidate_NV.shape[1], dense_width)
    num_replayed = int(is_there_AL.sum())
    return Rows(
        np.concatenate([rows.viewer_BW, replayed.viewer_AW]),
        np.concatenate([rows.candidate_NV, list_ALV[is_there_AL]]),
        np.concatenate([rows.request_N, start + np.repeat(np.arange(len(list_ALV)), is_there_AL.sum(1))]),
        # Another ranker's score is not stored with an answer; nothing reads it there.
        np.concatenate([rows.score_NS, np.full((num_replayed, rows.score_NS.shape[1]), np.nan, np.float32)]),
        _with_dense(rows.dense, replayed, is_there_AL),
    )


def _with_dense(dense: DenseRows | None, replayed: AnsweredRows, is_there_AL: Bool) -> DenseRows | None:
    if dense is None or not len(replayed.user_A):
        return dense
    # Rows that lack what the batch has do not fit, and numpy says so.
    list_ALY = replayed.candidate_dense_AY.reshape(*is_there_AL.shape, dense.candidate_NY.shape[1])
    return DenseRows(
        np.concatenate([dense.viewer_BX, replayed.viewer_dense_AX]),
        np.concatenate([dense.candidate_NY, list_ALY[is_there_AL]]),
    )


def replayed_places(replayed: AnsweredRows, width: int, dense_width: int = 0) -> tuple[I64, int]:
    """Return the places of the answered rows among those that `with_replayed` appends, and their number."""
    size_A = _lists(replayed, width, dense_width)[1].sum(1)
    return np.cumsum(size_A) - size_A, int(size_A.sum())


def _lists(replayed: AnsweredRows, width: int, dense_width: int) -> tuple[I64, Bool]:
    num, dense_AY = len(replayed.user_A), replayed.candidate_dense_AY
    has_dense = dense_AY.shape[1] > 0
    if has_dense:
        length = dense_AY.shape[1] // dense_width
    else:
        length = replayed.candidate_AV.shape[1] // width if width else 1
    list_ALV = replayed.candidate_AV.reshape(num, length, width)
    is_there_AL: Bool = np.any(list_ALV, axis=2)
    if has_dense:
        is_there_AL |= ~np.isinf(dense_AY.reshape(num, length, dense_width)).any(2)
    is_there_AL[:, 0] = True
    return list_ALV, is_there_AL


def _with_mates(batch: Batch, list_length: int) -> tuple[I64, Bool]:
    """Return the rows of each answer's list, its own first, and which places of the list are taken."""
    request_N = batch.rows.request_N
    # Answered requests stand behind the viewed ones, whole; rows of a request stand together.
    listed = np.arange(batch.num_viewed, len(request_N))
    row_AL = np.zeros((len(batch.answer_row_A), list_length), np.int64)
    is_there_AL = np.zeros(row_AL.shape, np.bool_)
    for a, row in enumerate(batch.answer_row_A.tolist()):
        first, last = np.searchsorted(request_N[listed], [request_N[row], request_N[row] + 1])
        mates = listed[first:last]
        chosen = np.concatenate([[row], mates[mates != row]])[:list_length]
        row_AL[a, : len(chosen)] = chosen
        is_there_AL[a, : len(chosen)] = True
    return row_AL, is_there_AL


def _listed(value_NV: NDArray[T], row_AL: I64, is_there_AL: Bool, missing: float) -> NDArray[T]:
    """Return the values of lists side by side, with `missing` for places that are not taken."""
    list_ALV = value_NV[row_AL]
    list_ALV[~is_there_AL] = missing
    return list_ALV.reshape(len(row_AL), row_AL.shape[1] * value_NV.shape[1])


def answer_rows(
    batch: Batch,
    replayed: AnsweredRows,
    num_options: int,
    use: AnswerUse,
    *,
    drops_uncertain: bool = False,
    bounded_A: F32 | None = None,
    has_new: bool = True,
) -> AnswerPairs:
    """Choose Q and D+ for a batch whose replayed rows are appended behind its own.

    With `drops_uncertain` options between the worst and the best are left out. `bounded_A` replaces the
    weights of the batch's own answers; without `has_new` these are not learned here, because they wait.
    """
    num_rows, num_viewed = len(batch.rows.request_N), batch.num_viewed
    num_listed = num_rows - num_viewed
    dense_width = 0 if batch.rows.dense is None else batch.rows.dense.candidate_NY.shape[1]
    replayed_A, num_replayed = replayed_places(replayed, batch.rows.candidate_NV.shape[1], dense_width)
    row_Q = np.arange(num_viewed, num_rows + num_replayed)
    new_A = batch.answer_row_A - num_viewed
    place_A = np.concatenate([new_A, num_listed + replayed_A])
    user_A = np.concatenate([batch.user_B[batch.rows.request_N[batch.answer_row_A]], replayed.user_A])
    option_A = np.concatenate([batch.option_A, replayed.option_A])
    weight_A = np.concatenate([batch.weight_A if bounded_A is None else bounded_A, replayed.weight_A])
    used = np.arange(0 if has_new else len(new_A), len(place_A))
    if drops_uncertain:
        used = used[(option_A[used] == 0) | (option_A[used] == num_options - 1)]
    better, worse = answer_pairs(user_A[used], option_A[used], use.scope)
    better_P, worse_P = place_A[used[better]], place_A[used[worse]]
    weight_P = weight_A[used[better]] * weight_A[used[worse]]
    if use.unasked == "request":
        option_R = np.full(num_listed, -1, np.int64)
        option_R[new_A] = batch.option_A
        better, worse = list_pairs(batch.rows.request_N[num_viewed:], option_R, num_options - 1)
        better_P, worse_P = np.concatenate([better_P, better]), np.concatenate([worse_P, worse])
        weight_R = np.ones(num_listed, np.float32)
        weight_R[new_A] = weight_A[: len(new_A)]
        weight_P = np.concatenate([weight_P, weight_R[better] * weight_R[worse]])
    if use.reads_viewed:
        row_Q = np.concatenate([row_Q, np.arange(num_viewed)])
    return AnswerPairs(row_Q, better_P, worse_P, weight_P, place_A[used], option_A[used], weight_A[used])
