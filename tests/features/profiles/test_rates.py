import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easq.features.profiles import Rates
from easq.features.profiles.buckets import NUM_BUCKETS, PER_HALF_LIFE, Buckets

DAY = 86_400_000
WIDTH = DAY // PER_HALF_LIFE


def rate(rates: Rates, key: int, ts: int) -> float:
    return float(rates.rates([key], ts)[0])


def test_rate_of_an_unknown_id_is_that_of_all() -> None:
    rates = Rates(DAY, 5)
    assert math.isnan(rate(rates, 1, 0))
    for n in range(4):
        rates.observe(7, 0, n == 0)
    assert rate(rates, 1, 0) == 0.25
    assert rate(rates, 7, 0) == pytest.approx((1 + 5 * 0.25) / (4 + 5))


def test_the_past_fades_by_half_every_half_life() -> None:
    rates = Rates(DAY, 1)
    rates.observe(1, WIDTH // 2, True)
    rates.observe(2, WIDTH // 2, False)
    assert rate(rates, 1, DAY + WIDTH // 2) == pytest.approx((0.5 + 0.5) / (0.5 + 1))
    rates.observe(1, 2 * DAY + WIDTH // 2, False)
    overall = (1 / 4) / (2 / 4 + 1)
    assert rate(rates, 1, 2 * DAY + WIDTH // 2) == pytest.approx((0.25 + overall) / (1.25 + 1), rel=1e-4)


def test_the_rate_of_all_outlives_a_pause() -> None:
    rates = Rates(DAY, 1)
    rates.observe(1, 0, True)
    rates.observe(1, 0, False)
    assert rate(rates, 1, 1000 * DAY) == rate(rates, 2, 1000 * DAY) == 0.5


def test_what_is_too_old_is_forgotten_and_its_row_used_again() -> None:
    rates = Rates(DAY, 1)
    for key in range(3 * NUM_BUCKETS):
        rates.observe(key, key * WIDTH, True)
    assert rates._index.num_rows == NUM_BUCKETS + 2  # the row of NOBODY, and one more while the ring moves
    rates.observe(5, 0, False)
    assert rate(rates, 5, 3 * NUM_BUCKETS * WIDTH) == 1


@pytest.mark.parametrize("wrong", [(0, 1), (DAY, 0)])
def test_impossible_settings_are_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Rates(*wrong)


buckets_of_time = st.sampled_from([0, 1, 20, NUM_BUCKETS - 1, NUM_BUCKETS, NUM_BUCKETS + 1, 60])
times = st.builds(lambda bucket, ms: bucket * WIDTH + ms, buckets_of_time, st.integers(0, WIDTH - 1))
views = st.lists(st.tuples(st.integers(0, 4), times, st.booleans(), st.booleans()), max_size=20)
cuts = st.lists(st.integers(0, 20), max_size=5)


def counted(views: list[tuple[int, int, bool, bool]], cuts: list[int]) -> Buckets:
    buckets = Buckets(DAY, 3)
    buckets.reserve(5)
    ends = sorted({c % (len(views) + 1) for c in cuts} | {len(views)})
    begin = 0
    for end in ends:
        buckets.add(*zip(*views[begin:end], strict=True)) if end > begin else None
        begin = end
    return buckets


@given(views=views, order=st.randoms(), cuts=cuts)
def test_order_and_cuts_change_no_bit(
    views: list[tuple[int, int, bool, bool]], order: Random, cuts: list[int]
) -> None:
    shuffled = list(views)
    order.shuffle(shuffled)
    rows = np.arange(5)
    for ts in (0, 30 * WIDTH, 100 * WIDTH):
        straight = counted(views, []).rates(rows, ts)
        assert straight.tobytes() == counted(shuffled, cuts).rates(rows, ts).tobytes()


@given(views=views, cuts=cuts, ts=st.integers(0, 90 * WIDTH))
def test_rates_are_weighted_counts(
    views: list[tuple[int, int, bool, bool]], cuts: list[int], ts: int
) -> None:
    newest = max((v[1] // WIDTH for v in views), default=0)

    def weight(bucket: int, ts: int) -> float:
        return float(2.0 ** -(max(0.0, ts - (bucket + 0.5) * WIDTH) / DAY))

    def sums(row: int | None, ts: int) -> tuple[float, float]:
        recent = [(r, t // WIDTH, v, s) for r, t, v, s in views if t // WIDTH > newest - NUM_BUCKETS]
        mine = [k for k in recent if row in (None, k[0])]
        return sum(weight(b, ts) * v for _, b, v, _ in mine), sum(weight(b, ts) * s for _, b, _, s in mine)

    result = counted(views, cuts).rates(np.arange(5), ts)
    all_views, all_shown = sums(None, newest * WIDTH + WIDTH // 2)
    for row in range(5):
        num_views, num_shown = sums(row, ts)
        if not all_views:
            assert math.isnan(result[row])
        else:
            expected = (num_shown + 3 * all_shown / all_views) / (num_views + 3)
            assert result[row] == pytest.approx(expected, rel=1e-3, abs=1e-3)
