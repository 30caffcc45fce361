import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easq.learn.replay_buffer import AnsweredRows, ReplayBuffer


def rows(start: int, num: int, users: int = 5) -> AnsweredRows:
    n = np.arange(start, start + num)
    return AnsweredRows(
        viewer_AW=np.stack([n, n], 1),
        candidate_AV=np.stack([n], 1),
        user_A=viewer(n % users),
        option_A=n % 3,
        weight_A=np.ones(num, np.float32),
        behavior_AK=np.zeros((num, 0), np.int64),
        viewer_dense_AX=np.zeros((num, 0), np.float32),
        candidate_dense_AY=np.zeros((num, 0), np.float32),
    )


def viewer(number: np.ndarray) -> np.ndarray:
    """Spread over 64 bits, as ids of viewers are."""
    return number * np.int64(0x9E3779B97F4A7C15 - (1 << 64))


@given(st.integers(1, 20), st.lists(st.integers(0, 30), max_size=8))
def test_the_last_rows_are_kept(capacity: int, sizes: list[int]) -> None:
    buffer, total = ReplayBuffer(capacity, 2, 1), 0
    for size in sizes:
        buffer.add(rows(total, size))
        total += size
    result = buffer.sample(capacity, False, np.random.default_rng(0))
    assert sorted(result.candidate_AV[:, 0].tolist()) == list(range(max(0, total - capacity), total))


@given(st.integers(0, 40), st.integers(0, 50), st.booleans())
def test_sampled_rows_are_distinct_and_whole(size: int, num: int, partners: bool) -> None:
    buffer = ReplayBuffer(30, 2, 1)
    buffer.add(rows(0, size))
    result = buffer.sample(num, partners, np.random.default_rng(1))
    number = result.candidate_AV[:, 0]
    assert len(set(number.tolist())) == len(number) <= min(num, size, 30)
    assert (result.user_A == viewer(number % 5)).all()
    assert (result.option_A == number % 3).all()


def test_partners_bring_rows_of_the_same_viewer_together() -> None:
    buffer = ReplayBuffer(1000, 2, 1)
    buffer.add(rows(0, 1000, users=400))

    def share_with_company(partners: bool) -> float:
        random, shares = np.random.default_rng(2), []
        for _ in range(50):
            user = buffer.sample(40, partners, random).user_A
            shares.append(np.mean([(user == u).sum() > 1 for u in user]))
        return float(np.mean(shares))

    assert share_with_company(True) > 2 * share_with_company(False)


def test_without_capacity_nothing_is_kept() -> None:
    buffer = ReplayBuffer(0, 2, 1)
    buffer.add(rows(0, 5))
    assert len(buffer) == 0
    assert len(buffer.sample(3, True, np.random.default_rng(0)).user_A) == 0


def test_weights_of_one_viewer_add_up_to_the_bound_and_others_keep_theirs() -> None:
    buffer = ReplayBuffer(100, 2, 1, viewer_weight=4.0)
    many, few = rows(0, 10, users=1), rows(10, 3, users=1)
    buffer.add(many._replace(weight_A=np.full(10, 0.8, np.float32)))
    buffer.add(few._replace(user_A=viewer(np.full(3, 7)), weight_A=np.array([1, 0.5, 1], np.float32)))
    result = buffer.sample(13, False, np.random.default_rng(0))
    of_few = result.user_A == viewer(np.array([7]))
    assert result.weight_A[~of_few].sum() == pytest.approx(4)
    assert sorted(result.weight_A[of_few].tolist()) == [0.5, 1, 1]
    # Rows to come count beside those that are here: 8 + 2 in all.
    new = buffer.bounded(viewer(np.zeros(2, np.int64)), np.ones(2, np.float32), new=True)
    assert new.tolist() == pytest.approx([0.4, 0.4])
    assert buffer.bounded(viewer(np.array([9])), np.ones(1, np.float32), new=True).tolist() == [1]


def test_forgotten_viewers_leave_nothing_and_the_rest_stays_in_order() -> None:
    buffer = ReplayBuffer(7, 2, 1)
    buffer.add(rows(0, 10, users=3))
    assert buffer.forget(viewer(np.array([1, 5]))) == 2
    state = buffer.state()
    assert state["candidate_AV"][:, 0].tolist() == [3, 5, 6, 8, 9]
    assert viewer(np.array([1]))[0] not in buffer._rows.user_A
    buffer.add(rows(20, 4, users=3))
    assert sorted(buffer.state()["candidate_AV"][:, 0].tolist()) == [6, 8, 9, 20, 21, 22, 23]


def test_a_buffer_of_before_weights_reads_as_one_each() -> None:
    old, new = ReplayBuffer(7, 2, 1), ReplayBuffer(7, 2, 1)
    old.add(rows(0, 5))
    new.restore({name: value for name, value in old.state().items() if name != "weight_A"})
    assert new.state()["weight_A"].tolist() == [1] * 5


def test_state_round_trip_continues_equally() -> None:
    first, second = ReplayBuffer(7, 2, 1), ReplayBuffer(7, 2, 1)
    first.add(rows(0, 10))
    second.restore({name: value.copy() for name, value in first.state().items()})
    for buffer in (first, second):
        buffer.add(rows(10, 3))
    a, b = (buffer.sample(5, True, np.random.default_rng(3)) for buffer in (first, second))
    assert all((x == y).all() for x, y in zip(a, b, strict=True))
