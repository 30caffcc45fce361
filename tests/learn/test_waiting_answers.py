"""Answers that wait: they leave together, each once, and a viewer's can be forgotten."""

import numpy as np

from easq.learn.replay_buffer import AnsweredRows
from easq.learn.waiting_answers import WaitingAnswers


def rows(*users: int) -> AnsweredRows:
    num = len(users)
    return AnsweredRows(
        viewer_AW=np.zeros((num, 2), np.int64),
        candidate_AV=np.arange(2 * num).reshape(num, 2),
        user_A=np.array(users, np.int64),
        option_A=np.zeros(num, np.int64),
        weight_A=np.ones(num, np.float32),
        behavior_AK=np.zeros((num, 0), np.int64),
        viewer_dense_AX=np.zeros((num, 0), np.float32),
        candidate_dense_AY=np.zeros((num, 0), np.float32),
    )


def test_answers_leave_together_and_once() -> None:
    waiting = WaitingAnswers(3)
    left = []
    for users in ((1,), (), (2,), (3, 4), (5,)):
        left.append(waiting.released(rows(*users)).user_A.tolist())
        assert left[-1] == waiting.released(rows(*users)).user_A.tolist()
        waiting.add(rows(*users))
    assert left == [[], [], [], [1, 2, 3, 4], []]


def test_a_viewers_answers_are_forgotten_and_a_state_continues() -> None:
    first, second = WaitingAnswers(4), WaitingAnswers(4)
    first.add(rows(1, 2, 1))
    first.forget(np.array([1]))
    second.restore(first.state())
    for waiting in (first, second):
        assert waiting.released(rows(3, 4, 5)).user_A.tolist() == [2, 3, 4, 5]
        waiting.add(rows(3, 4, 5))
        assert waiting.state() == {}
