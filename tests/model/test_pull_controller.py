import pytest

from easq.model.pull_controller import PullController


@pytest.mark.parametrize("tolerance", [0.01, 0.05, 0.2])
def test_factor_settles_where_the_price_is_the_tolerance(tolerance: float) -> None:
    """The served order lacks 2 % of the skill of the reference, .3 above chance, per unit of the factor."""
    price = PullController(tolerance)
    for _ in range(3000):
        served = 0.5 + 0.3 * (1 - 0.02 * price.factor.item())
        price.observe(1000 * served, 800, 1000)
    assert price.factor.item() == pytest.approx(tolerance / 0.02, rel=0.1)


def test_factor_stays_while_the_reference_knows_nothing() -> None:
    price = PullController(0.01)
    for _ in range(50):
        price.observe(500, 510, 1000)
        price.observe(0, 0, 0)
    assert price.factor.item() == 1


def test_factor_falls_no_further_than_its_floor() -> None:
    price = PullController(0.01)
    for _ in range(2000):
        price.observe(500, 900, 1000)
    assert price.factor.item() == pytest.approx(1e-3)
