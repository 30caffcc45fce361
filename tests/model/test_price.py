"""The price: it is held at what is stated, also where requests hold one view, and its state continues."""

import numpy as np
import pytest

from easq.model.price import Price


def steps(price: Price, num: int, *, size: int, ratio: float = 1.0, seed: int = 0) -> tuple[float, float]:
    """Return the share lost in expectation and in truth over the last half of the steps.

    Levels are the expected ones plus noise; those of the first by behavior are `ratio` times as far apart.
    """
    random = np.random.default_rng(seed)
    lost = whole = real = 0.0
    for step in range(num):
        request = np.repeat(np.arange(400 // size), size)
        behavior, satisfaction = random.normal(3, 0.3, 400), random.normal(0, 1, 400)
        level = 3 + ratio * (behavior - 3) + random.normal(0, 0.5, 400)
        served = behavior + price.factor * satisfaction
        if step > num // 2:
            for first in range(0, 400, 20):
                rows = np.arange(first, first + 20)
                by_behavior = rows[np.argsort(-behavior[rows])[:3]]
                as_served = rows[np.argsort(-served[rows])[:3]]
                whole += behavior[by_behavior].sum()
                lost += behavior[by_behavior].sum() - behavior[as_served].sum()
                real += ratio * (behavior[by_behavior].sum() - behavior[as_served].sum())
        price.observe(behavior, satisfaction, request, level)
    return lost / whole, real / whole


@pytest.mark.parametrize("size", [20, 5, 1])
@pytest.mark.parametrize("budget", [0.005, 0.03])
def test_the_price_is_held(size: int, budget: float) -> None:
    real = steps(Price(budget, most=10.0), 3000, size=size)[1]
    assert real == pytest.approx(budget, rel=0.15)


def test_a_few_long_requests_do_not_set_the_price_of_the_rest() -> None:
    """As in KuaiRand-Pure: most requests hold one view, and inside the others satisfaction is level."""
    random = np.random.default_rng(1)
    price, lost, whole = Price(0.01, most=10.0), 0.0, 0.0
    request = np.concatenate([np.arange(320), 320 + np.arange(80) // 8])
    for step in range(600):
        behavior = random.normal(3, 0.3, 400)
        satisfaction = np.where(np.arange(400) < 320, 1.0, 0.05) * random.normal(0, 1, 400)
        lists = np.arange(400).reshape(20, 20)
        by_score = (behavior[lists], (behavior + price.factor * satisfaction)[lists])
        first = [np.take_along_axis(lists, np.argsort(-score, 1)[:, :3], 1) for score in by_score]
        if step > 300:
            whole += behavior[first[0]].sum()
            lost += behavior[first[0]].sum() - behavior[first[1]].sum()
        price.observe(behavior, satisfaction, request, behavior + random.normal(0, 0.5, 400))
    assert lost / whole == pytest.approx(0.01, rel=0.15)


def test_what_is_lost_in_truth_is_what_counts() -> None:
    price = Price(0.01, most=10.0)
    expected, real = steps(price, 6000, size=20, ratio=0.5)
    assert price.ratio == pytest.approx(0.5, abs=0.15)
    assert real == pytest.approx(0.01, rel=0.25)
    assert expected > 1.4 * real


def test_the_factor_has_a_bound_and_never_reaches_zero() -> None:
    price = Price(0.01, most=0.5)
    rows = np.arange(100) // 20
    for _ in range(50):
        price.observe(np.linspace(0, 1, 100), np.linspace(0, 1e-9, 100), rows, np.zeros(100))
    assert price.factor == 0.5
    for _ in range(200):
        price.observe(np.linspace(0, 1, 100), np.linspace(1e9, 0, 100), rows, np.zeros(100))
    assert 0 < price.factor < 1e-3


def test_a_state_continues() -> None:
    first, second = Price(0.01, most=5.0), Price(0.01, most=5.0)
    steps(first, 20, size=20)
    second.restore(first.state())
    steps(first, 5, size=20, seed=1)
    steps(second, 5, size=20, seed=1)
    assert first.factor == second.factor
    for name, values in first.state().items():
        np.testing.assert_array_equal(values, second.state()[name])


def test_the_factor_does_not_rise_while_there_is_nothing_to_serve() -> None:
    price = Price(0.01, most=100.0)
    first = price.factor
    for _ in range(50):
        price.observe(np.linspace(0, 1, 100), np.zeros(100), np.arange(100) // 20, np.zeros(100))
    assert price.factor == first


def test_levels_below_zero_have_a_price_too() -> None:
    random, price = np.random.default_rng(0), Price(0.05, most=1.0)
    for _ in range(100):
        behavior = -random.random(200)
        price.observe(behavior, random.normal(size=200), np.arange(200) // 10, behavior)
    assert price.factor > 0.01


@pytest.mark.parametrize("noise", [0.1, 0.4])
def test_against_a_reference_what_is_gained_over_it_is_spent_too(noise: float) -> None:
    random, price = np.random.default_rng(1), Price(0.01, most=10.0)
    reference_level = served_level = 0.0
    for step in range(3000):
        request, behavior = np.arange(400) // 20, random.normal(3, 0.3, 400)
        satisfaction, level = random.normal(size=400), behavior + random.normal(0, 0.5, 400)
        reference = behavior + random.normal(0, noise, 400)
        served = behavior + price.factor * satisfaction
        if step > 2000:
            for rows in np.arange(400).reshape(20, 20):
                reference_level += behavior[rows[np.argsort(-reference[rows])[:3]]].sum()
                served_level += behavior[rows[np.argsort(-served[rows])[:3]]].sum()
        price.observe(behavior, satisfaction, request, level, reference)
    assert 1 - served_level / reference_level == pytest.approx(0.01, abs=0.002)
    assert price.budget > 0.01
    other = Price(0.01, most=10.0)
    other.restore(price.state())
    assert other.budget == price.budget


def test_what_satisfaction_knows_of_behavior_makes_it_cheaper() -> None:
    """A unit of satisfaction is worth a tenth of a level, so more of it is served for the same price."""
    random, price = np.random.default_rng(2), Price(0.01, most=10.0)
    plain = Price(0.01, most=10.0)
    lost = whole = 0.0
    for step in range(3000):
        request = np.arange(400) // 20
        behavior, satisfaction = random.normal(3, 0.3, 400), random.normal(size=400)
        truth = behavior + 0.1 * satisfaction
        level = truth + random.normal(0, 0.5, 400)
        if step > 1500:
            served = behavior + price.factor * satisfaction
            for rows in np.arange(400).reshape(20, 20):
                whole += truth[rows[np.argsort(-behavior[rows])[:3]]].sum()
                lost += truth[rows[np.argsort(-behavior[rows])[:3]]].sum()
                lost -= truth[rows[np.argsort(-served[rows])[:3]]].sum()
        price.observe(behavior, satisfaction, request, level)
        plain.observe(behavior, satisfaction, request, level - 0.1 * satisfaction)
    assert price.slopes == pytest.approx([1.0, 0.1], abs=0.02)
    assert lost / whole == pytest.approx(0.01, abs=0.003)
    assert price.factor > 1.5 * plain.factor


def test_lists_with_an_answer_do_not_say_what_an_order_costs() -> None:
    """Satisfaction that has learned a view's answer knows that view's chance, and no later one's."""
    random = np.random.default_rng(3)
    price, deceived = Price(0.01, most=10.0), Price(0.01, most=10.0)
    for _ in range(1500):
        request = np.arange(400) // 20
        behavior, chance = random.normal(3, 0.3, 400), random.normal(0, 0.5, 400)
        is_answered = (random.random(20) < 0.5)[request]
        satisfaction = random.normal(size=400) + np.where(is_answered, 2 * chance, 0.0)
        answer = np.where(is_answered & (random.random(400) < 0.2), 1, -1)
        level = behavior + chance
        price.observe(behavior, satisfaction, request, level, answer_M=answer)
        deceived.observe(behavior, satisfaction, request, level)
    assert price.slopes[1] == pytest.approx(0.0, abs=0.02)
    assert price.ratio == pytest.approx(1.0, abs=0.2)
    assert deceived.slopes[1] > 0.1
    assert deceived.ratio < 0.6 * price.ratio


def test_the_price_against_a_reference_that_learns_is_held() -> None:
    """Its order comes closer to the best one all the time; that of the behavior score stays what it is."""
    random, price = np.random.default_rng(1), Price(0.01, most=10.0)
    reference_level = served_level = 0.0
    for step in range(3000):
        request, truth = np.arange(400) // 20, random.normal(3, 0.3, 400)
        satisfaction, level = random.normal(size=400), truth + random.normal(0, 0.5, 400)
        behavior = truth + random.normal(0, 0.1, 400)
        reference = truth + random.normal(0, 0.5 - 0.3 * step / 3000, 400)
        if step > 2000:
            served = behavior + price.factor * satisfaction
            for rows in np.arange(400).reshape(20, 20):
                reference_level += truth[rows[np.argsort(-reference[rows])[:3]]].sum()
                served_level += truth[rows[np.argsort(-served[rows])[:3]]].sum()
        price.observe(behavior, satisfaction, request, level, reference)
    assert 1 - served_level / reference_level == pytest.approx(0.01, abs=0.002)


def test_nothing_may_be_lost_below_a_reference_that_is_better() -> None:
    random, price = np.random.default_rng(1), Price(0.01, most=10.0)
    for _ in range(500):
        truth = random.normal(3, 0.3, 400)
        level, behavior = truth + random.normal(0, 0.5, 400), truth + random.normal(0, 0.3, 400)
        price.observe(behavior, random.normal(size=400), np.arange(400) // 20, level, truth)
    assert price.budget == 0.0
    assert price.factor < 1e-3
