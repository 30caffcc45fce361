import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from easq.learn.replay_buffer import AnsweredRows, ReplayBuffer


def rows(start: int, num: int, users: int = 5) -> AnsweredRows:
    n = np.arange(start, start + num)
    return AnsweredRows(np.stack([n, n], 1), np.stack([n], 1), viewer(n % users), n % 3)


def viewer(number: np.ndarray) -> np.ndarray:
    """Spread over 64 bits, as ids of viewers are."""
    return number * np.int64(0x9E3779B97F4A7C15 - (1 << 64))


@given(st.integers(1, 20), st.lists(st.integers(0, 30), max_size=8))
def test_the_last_rows_are_kept(capacity: int, sizes: list[int]) -> None:
    buffer, total = ReplayBuffer(capacity, 2, 1), 0
    for size in sizes:
        buffer.add(rows(total, size))
        total += size
    found = buffer.sample(capacity, False, np.random.default_rng(0))
    assert sorted(found.candidate_AV[:, 0].tolist()) == list(range(max(0, total - capacity), total))


@given(st.integers(0, 40), st.integers(0, 50), st.booleans())
def test_sampled_rows_are_distinct_and_whole(size: int, num: int, partners: bool) -> None:
    buffer = ReplayBuffer(30, 2, 1)
    buffer.add(rows(0, size))
    found = buffer.sample(num, partners, np.random.default_rng(1))
    number = found.candidate_AV[:, 0]
    assert len(set(number.tolist())) == len(number) <= min(num, size, 30)
    assert (found.user_A == viewer(number % 5)).all()
    assert (found.option_A == number % 3).all()


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


def test_state_round_trip_goes_on_alike() -> None:
    first, second = ReplayBuffer(7, 2, 1), ReplayBuffer(7, 2, 1)
    first.add(rows(0, 10))
    second.restore({name: value.copy() for name, value in first.state().items()})
    for buffer in (first, second):
        buffer.add(rows(10, 3))
    a, b = (buffer.sample(5, True, np.random.default_rng(3)) for buffer in (first, second))
    assert all((x == y).all() for x, y in zip(a, b, strict=True))
