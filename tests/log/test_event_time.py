"""One wrong clock does not move a partition's time; a pause of the platform does."""

from hypothesis import given
from hypothesis import strategies as st

from easq.log.event_time import CONFIRMED_BY, FAR_MS, EventTime

YEAR = 365 * 86_400_000


@given(st.lists(st.integers(1, FAR_MS), min_size=1))
def test_within_half_a_day_it_is_the_newest_time(steps: list[int]) -> None:
    time, ts = EventTime(), 1
    for step in steps:
        ts += step
        assert time.move(ts) == ts
        assert time.move(ts - 1) == ts


@given(st.integers(1, CONFIRMED_BY - 1), st.integers(1, 40))
def test_a_few_stamps_of_the_future_move_nothing(wrong: int, visits: int) -> None:
    time = EventTime(YEAR)
    for visit in range(visits):
        assert [time.move(2 * YEAR + n) for n in range(wrong)] == [YEAR + visit] * wrong
        assert time.move(YEAR + visit + 1) == YEAR + visit + 1


def test_a_pause_is_believed_soon_and_wherever_it_is_interrupted() -> None:
    time = EventTime(YEAR)
    for n in range(CONFIRMED_BY - 1):
        assert time.move(2 * YEAR + n) == YEAR
        time = EventTime(*time.state())
    assert time.move(2 * YEAR + CONFIRMED_BY) == 2 * YEAR
