import numpy as np

from easq.learn.told import ToldViews
from tests.prove.steps import Closed, Said, lay_out, make_listing

A, B = make_listing("a", "ann", 3), make_listing("b", "bo", 2)


def test_told_views_are_those_with_behaviour_and_an_answer() -> None:
    both = Closed(A, {0: (True, False), 1: (False, True)}, said={1: 2})
    batch = lay_out([both, Said(B, 0, 1)])
    views = ToldViews(8, 4, batch.rows.viewer_BW.shape[1], batch.rows.candidate_NV.shape[1], 2)
    rows, told = views.join(batch, batch.rows, np.random.default_rng(1))
    assert rows.request_N.tolist() == batch.rows.request_N.tolist()
    assert (told.row_T.tolist(), told.shown_TK.tolist(), told.option_T.tolist()) == ([1], [[0, 1]], [2])


def test_told_views_come_back_with_what_was_done_and_said() -> None:
    before = lay_out([Closed(A, {0: (True, False), 1: (False, True)}, said={0: 0, 1: 2})])
    now = lay_out([Closed(B, {0: (False, False)})])
    views = ToldViews(8, 4, before.rows.viewer_BW.shape[1], before.rows.candidate_NV.shape[1], 2)
    views.add(before)
    rows, told = views.join(now, now.rows, np.random.default_rng(1))
    num = len(now.rows.request_N)
    assert told.row_T.tolist() == [num, num + 1]
    assert rows.request_N[num:].tolist() == [1, 2]
    found = zip(rows.candidate_NV[num:].tolist(), told.shown_TK.tolist(), told.option_T.tolist(), strict=True)
    kept = before.rows.candidate_NV.tolist()
    assert sorted(found) == sorted([(kept[0], [1, 0], 0), (kept[1], [0, 1], 2)])
