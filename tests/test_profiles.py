import math

import pytest

from easq.events import unpack_ids
from easq.profiles import Histories, Rates

DAY = 86_400_000


def test_history_holds_the_last_items_oldest_first() -> None:
    histories = Histories(3)
    histories.observe("u", [1, 2])
    histories.observe("u", [3, 4])
    assert unpack_ids(histories.column("u")).tolist() == [2, 3, 4]
    assert histories.column("stranger") == b""


def test_rate_of_an_unknown_id_is_that_of_all() -> None:
    rates = Rates(DAY, 5)
    assert math.isnan(rates.rate(1, 0))
    for n in range(4):
        rates.observe(7, 0, n == 0)
    assert rates.rate(1, 0) == 0.25
    assert rates.rate(7, 0) == pytest.approx((1 + 5 * 0.25) / (4 + 5))


def test_the_past_fades_by_half_every_half_life() -> None:
    rates = Rates(DAY, 1)
    rates.observe(1, 0, True)
    rates.observe(2, 0, False)
    assert rates.rate(1, DAY) == pytest.approx((0.5 + 0.5) / (0.5 + 1))
    rates.observe(1, 2 * DAY, False)
    overall = (1 / 4) / (2 / 4 + 1)
    assert rates.rate(1, 2 * DAY) == pytest.approx((0.25 + overall) / (1.25 + 1))


@pytest.mark.parametrize("wrong", [(0, 1), (DAY, 0)])
def test_impossible_settings_are_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Rates(*wrong)
    with pytest.raises(ValueError, match="at least 1"):
        Histories(0)
