import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easq.model.pairs import answer_pairs, list_pairs

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=12)


@given(rows, st.sampled_from(["user_first", "user", "batch"]))
def test_pairs_are_those_of_a_plain_loop(said: list[tuple[int, int]], scope: str) -> None:
    def allowed(i: int, j: int) -> bool:
        if said[i][1] <= said[j][1]:
            return False
        own = [k for k in range(len(said)) if said[k][0] == said[i][0] and said[k][1] < said[i][1]]
        return scope == "batch" or j in own or (scope == "user_first" and not own)

    expected = [(i, j) for i in range(len(said)) for j in range(len(said)) if allowed(i, j)]
    user, option = (np.array([row[k] for row in said], np.int64) for k in (0, 1))
    better, worse = answer_pairs(user, option, scope)  # type: ignore[arg-type]
    assert list(zip(better.tolist(), worse.tolist(), strict=True)) == expected


def test_satisfied_stands_above_the_unasked_and_dissatisfied_below() -> None:
    request = np.array([0, 0, 0, 1, 1, 2, 2])
    answer = np.array([2, -1, 0, 1, -1, -1, -1])
    better, worse = list_pairs(request, answer, best=2)
    assert set(zip(better.tolist(), worse.tolist(), strict=True)) == {(0, 1), (1, 2)}


def test_unknown_order_of_equal_answers_makes_no_pair() -> None:
    better, _ = answer_pairs(np.zeros(3, np.int64), np.full(3, 2), "batch")
    assert better.size == pytest.approx(0)
