import dataclasses

import numpy as np

from easq.learn.answer_rows import answered_rows, replayed_places, with_replayed
from easq.learn.replay_buffer import AnsweredRows
from tests.support.measured_steps import AnswerTo, Closed, lay_out, make_listing

LISTINGS = [make_listing("a", "ann", 4), make_listing("b", "bo", 2)]


def batch():
    viewed = Closed(LISTINGS[0], {0: (True, False), 1: (False, False)})
    return lay_out([viewed, AnswerTo(LISTINGS[0], 2, 1), AnswerTo(LISTINGS[1], 1, 0)])


def test_answers_bring_candidates_of_their_request_with_their_own_first() -> None:
    result = batch()
    width = result.rows.candidate_NV.shape[1]
    candidates = answered_rows(result, 3).candidate_AV.reshape(2, 3, width)
    listed = result.rows.candidate_NV[result.num_viewed :]
    np.testing.assert_array_equal(candidates[0], listed[[2, 0, 1]])
    np.testing.assert_array_equal(candidates[1], [listed[5], listed[4], np.zeros(width)])


def test_replayed_lists_stand_behind_the_batch_as_requests_of_their_own() -> None:
    result = batch()
    replayed = answered_rows(result, 3)
    rows = with_replayed(result.rows, replayed)
    num, before = len(result.rows.request_N), len(result.rows.viewer_BW)
    assert rows.request_N[num:].tolist() == [before] * 3 + [before + 1] * 2
    first, total = replayed_places(replayed, result.rows.candidate_NV.shape[1])
    assert (first.tolist(), total) == ([0, 3], 5)
    answered = result.rows.candidate_NV[result.answer_row_A]
    np.testing.assert_array_equal(rows.candidate_NV[num + first], answered)


def test_without_mates_and_without_rows_nothing_is_added() -> None:
    result = batch()
    alone = answered_rows(result, 1)
    doubtful = answered_rows(dataclasses.replace(result, weight_A=np.array([0.5, 1], np.float32)), 1)
    assert doubtful.weight_A.tolist() == [0.5, 1]
    np.testing.assert_array_equal(alone.candidate_AV, result.rows.candidate_NV[result.answer_row_A])
    nothing = AnsweredRows(*(column[:0] for column in alone))
    assert len(with_replayed(result.rows, nothing).request_N) == len(result.rows.request_N)
