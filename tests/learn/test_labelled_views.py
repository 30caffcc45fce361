import dataclasses

import numpy as np

from easq.learn.labelled_views import LabelledViews
from easq.log.ids import stable_id
from tests.support.measured_steps import AnswerTo, Closed, lay_out, make_listing

A, B = make_listing("a", "ann", 3), make_listing("b", "bo", 2)


def test_labelled_views_are_those_with_behavior_and_an_answer() -> None:
    both = Closed(A, {0: (True, False), 1: (False, True)}, answers={1: 2})
    batch = lay_out([both, AnswerTo(B, 0, 1)])
    views = LabelledViews(8, 4, batch.rows.viewer_BW.shape[1], batch.rows.candidate_NV.shape[1], 2)
    rows, known = views.join(batch, batch.rows, np.random.default_rng(1))
    assert rows.request_N.tolist() == batch.rows.request_N.tolist()
    assert (known.row_T.tolist(), known.behavior_TK.tolist(), known.option_T.tolist()) == (
        [1],
        [[0, 1]],
        [2],
    )


def test_labelled_views_are_replayed_with_behavior_and_answer() -> None:
    before = lay_out([Closed(A, {0: (True, False), 1: (False, True)}, answers={0: 0, 1: 2})])
    now = lay_out([Closed(B, {0: (False, False)})])
    views = LabelledViews(8, 4, before.rows.viewer_BW.shape[1], before.rows.candidate_NV.shape[1], 2)
    views.add(before)
    rows, joined = views.join(now, now.rows, np.random.default_rng(1))
    num = len(now.rows.request_N)
    assert joined.row_T.tolist() == [num, num + 1]
    assert rows.request_N[num:].tolist() == [1, 2]
    result = zip(
        rows.candidate_NV[num:].tolist(), joined.behavior_TK.tolist(), joined.option_T.tolist(), strict=True
    )
    kept = before.rows.candidate_NV.tolist()
    assert sorted(result) == sorted([(kept[0], [1, 0], 0), (kept[1], [0, 1], 2)])


def test_labelled_views_keep_the_bound_of_a_viewers_weight() -> None:
    """Ann's 0.5 and 1 are kept as they are; beside them another 1 of hers makes 2.5, and the bound is 1."""
    before = lay_out([Closed(A, {0: (True, False), 1: (False, True)}, answers={0: 0, 1: 2})])
    before = dataclasses.replace(before, answer_weight_M=np.array([0.5, 1], np.float32))
    now = lay_out([Closed(A, {2: (False, False)}, answers={2: 1})])
    views = LabelledViews(8, 4, before.rows.viewer_BW.shape[1], before.rows.candidate_NV.shape[1], 2, 1.0)
    views.add(before)
    _, joined = views.join(now, now.rows, np.random.default_rng(1))
    np.testing.assert_allclose(joined.weight_T[0], 1 / 2.5)
    np.testing.assert_allclose(sorted(joined.weight_T[1:].tolist()), [0.5 / 1.5, 1 / 1.5], rtol=1e-6)


def test_forgotten_viewers_are_not_replayed() -> None:
    before = lay_out([Closed(listing, {0: (True, False)}, answers={0: 2}) for listing in (A, B)])
    views = LabelledViews(8, 4, before.rows.viewer_BW.shape[1], before.rows.candidate_NV.shape[1], 2)
    views.add(before)
    views.forget(np.array([stable_id("ann")]))
    nothing = lay_out([Closed(B, {0: (False, False)})])
    rows, joined = views.join(nothing, nothing.rows, np.random.default_rng(1))
    assert len(joined.option_T) == 1
    np.testing.assert_array_equal(rows.candidate_NV[-1], before.rows.candidate_NV[1])


def test_a_state_of_0_1_comes_back_as_it_would_be_stored_today() -> None:
    """There, behaviors stood behind the candidate's columns."""
    before = lay_out([Closed(A, {0: (True, False), 1: (False, True)}, answers={0: 0, 1: 2})])
    views = LabelledViews(8, 4, before.rows.viewer_BW.shape[1], before.rows.candidate_NV.shape[1], 2)
    views.add(before)
    today = views.state()
    old = {name: column for name, column in today.items() if name != "behavior_AK"}
    old["candidate_AV"] = np.concatenate([today["candidate_AV"], today["behavior_AK"]], axis=1)
    upgraded = views.upgraded(old)
    assert upgraded.keys() == today.keys()
    for name, column in today.items():
        np.testing.assert_array_equal(upgraded[name], column)
