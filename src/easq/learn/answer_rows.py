"""Answered rows in and out of the replay buffer, each with candidates of its request where that is needed.

A set-wise model scores a candidate among others, so a replayed answer brings its list: the buffer's
candidate columns hold L rows side by side, the answered one first, absent ones zero.
Shapes: N rows of a batch, A answers, L rows of a list, V embedding rows of a candidate.
"""

import numpy as np

from easq.features.batch import Batch, Flags
from easq.features.columns import Ids
from easq.features.encode import Rows
from easq.learn.replay_buffer import AnsweredRows


def answered_rows(batch: Batch, list_length: int) -> AnsweredRows:
    """Return a batch's answers as the buffer keeps them, each with at most `list_length` candidates."""
    request_N, row_A = batch.rows.request_N, batch.answer_row_A
    request_A = request_N[row_A]
    candidate_AV = batch.rows.candidate_NV[row_A]
    if list_length > 1:
        candidate_AV = _with_mates(batch, list_length)
    return AnsweredRows(
        batch.rows.viewer_BW[request_A],
        candidate_AV,
        batch.user_B[request_A],
        batch.option_A,
        batch.weight_A,
    )


def with_replayed(rows: Rows, replayed: AnsweredRows) -> Rows:
    """Put replayed rows behind a batch, each list a request of its own."""
    start = len(rows.viewer_BW)
    list_ALV, is_there_AL = _lists(replayed, rows.candidate_NV.shape[1])
    return Rows(
        np.concatenate([rows.viewer_BW, replayed.viewer_AW]),
        np.concatenate([rows.candidate_NV, list_ALV[is_there_AL]]),
        np.concatenate([rows.request_N, start + np.repeat(np.arange(len(list_ALV)), is_there_AL.sum(1))]),
    )


def replayed_places(replayed: AnsweredRows, width: int) -> tuple[Ids, int]:
    """Return where the answered rows stand among those that `with_replayed` appends, and how many it does."""
    size_A = _lists(replayed, width)[1].sum(1)
    return np.cumsum(size_A) - size_A, int(size_A.sum())


def _lists(replayed: AnsweredRows, width: int) -> tuple[Ids, Flags]:
    num = len(replayed.user_A)
    list_ALV = replayed.candidate_AV.reshape(num, replayed.candidate_AV.shape[1] // max(1, width), width)
    is_there_AL: Flags = np.any(list_ALV, axis=2)
    is_there_AL[:, 0] = True
    return list_ALV, is_there_AL


def _with_mates(batch: Batch, list_length: int) -> Ids:
    request_N = batch.rows.request_N
    # Answered requests stand behind the viewed ones, whole; rows of a request stand together.
    listed = np.arange(batch.num_viewed, len(request_N))
    num, width = len(batch.answer_row_A), batch.rows.candidate_NV.shape[1]
    list_ALV = np.zeros((num, list_length, width), np.int64)
    for a, row in enumerate(batch.answer_row_A.tolist()):
        first, last = np.searchsorted(request_N[listed], [request_N[row], request_N[row] + 1])
        mates = listed[first:last]
        chosen = np.concatenate([[row], mates[mates != row]])[:list_length]
        list_ALV[a, : len(chosen)] = batch.rows.candidate_NV[chosen]
    return list_ALV.reshape(num, list_length * width)
