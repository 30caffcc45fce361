import itertools

import numpy as np
import pytest
from scipy import stats

from easq.rank.explore import explore, inclusion
from easq.recipe.experiments import Explore

SCORES = np.array([0.1, 3.0, 0.5, 2.0, 1.0, 0.2], np.float32)
SORTED = np.argsort(-SCORES, kind="stable")


def first_chances(weights: list[float], top: int) -> list[float]:
    """Return the chances to be among the first of a Plackett-Luce draw, by going through all orders."""
    result = np.zeros(len(weights))
    for order in itertools.permutations(range(len(weights)), top):
        chance, left = 1.0, sum(weights)
        for item in order:
            chance *= weights[item] / left
            left -= weights[item]
        result[list(order)] += chance
    return result.tolist()


@pytest.mark.parametrize("weights", [[1.0, 2.0, 3.0, 10.0], [1.0] * 4, [1e-4, 1.0, 1.0, 50.0, 3.0]])
@pytest.mark.parametrize("top", [1, 2, 3])
def test_inclusion_is_that_of_all_orders(weights: list[float], top: int) -> None:
    assert inclusion(np.array(weights), top).tolist() == pytest.approx(first_chances(weights, top), rel=1e-5)


@pytest.mark.parametrize("kind", ["uniform", "plackett_luce"])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_logged_propensities_are_how_often_items_come_first(kind: str, share: float) -> None:
    settings = Explore(share=share, kind=kind, depth=5, top=2)  # type: ignore[arg-type]
    random = np.random.default_rng(1)
    runs = 8000
    drawn = [explore(SCORES, SORTED, settings, random) for _ in range(runs)]
    counts = np.zeros(len(SCORES))
    for order, propensity in drawn:
        counts[order[:2]] += 1
        by_item = np.empty(len(SCORES))
        by_item[order] = propensity
        assert np.allclose(by_item, _by_item(drawn[0]))
    expected = _by_item(drawn[0])
    assert expected.sum() == pytest.approx(2)
    assert expected[SORTED[5]] == 0 == counts[SORTED[5]]
    for count, chance in zip(counts[SORTED[:5]], expected[SORTED[:5]], strict=True):
        assert stats.binomtest(int(count), runs, float(min(1, chance))).pvalue > 1e-4


def _by_item(drawn: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    result = np.empty(len(drawn[0]))
    result[drawn[0]] = drawn[1]
    return result


def test_places_within_the_draw_are_drawn_too() -> None:
    settings = Explore(share=1.0, depth=3, top=1)
    random = np.random.default_rng(2)
    orders = [tuple(explore(SCORES, SORTED, settings, random).order_N[:3].tolist()) for _ in range(6000)]
    counts = [orders.count(order) for order in itertools.permutations(SORTED[:3].tolist())]
    assert stats.chisquare(counts).pvalue > 0.001


def test_short_lists_and_equal_scores_are_drawn_as_well() -> None:
    settings = Explore(share=1.0, kind="plackett_luce", depth=10, top=3)
    one = explore(np.ones(2, np.float32), np.arange(2), settings, np.random.default_rng(1))
    assert one.propensity_N.tolist() == [1.0, 1.0]
    five = explore(np.ones(5, np.float32), np.arange(5), settings, np.random.default_rng(1))
    assert five.propensity_N.tolist() == pytest.approx([0.6] * 5)


def test_a_sharper_draw_stays_nearer_to_the_sorted_ranking() -> None:
    settings = [Explore(share=1.0, kind="plackett_luce", depth=6, top=2, temperature=t) for t in (0.2, 5.0)]
    sharp, flat = (_by_item(explore(SCORES, SORTED, s, np.random.default_rng(1))) for s in settings)
    assert sharp[SORTED[0]] > 0.95 > 0.5 > flat[SORTED[0]] > 1 / 3
