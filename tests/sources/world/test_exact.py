"""Expectations against the mean of many draws of the same functions."""

from dataclasses import replace

import numpy as np
import pytest

from easq.features.batch import levels
from easq.recipe.features import BehaviorKind
from easq.sources.world.exact import expected_level
from easq.sources.world.react import FEED_PLACE, Exposure, Surroundings, react
from easq.sources.world.simulate import AskRates, World
from easq.sources.world.watching import LAB

KINDS = tuple(BehaviorKind(name) for name in ("long_view", "like", "comment", "forward", "follow"))
# Likes are frequent in a laboratory, so that many views reach the cap.
PLACES = {"feed": FEED_PLACE, "laboratory": Surroundings(LAB, like_shift=3.0, habit=0.5)}
DRAWS = 60


def exposure(scenario: str = "main") -> Exposure:
    world = World(3, AskRates(), num_viewers=600, num_items=500, scenario=scenario)
    return world.exposure(next(world.chunks(600, size=600)))


def assert_means_agree(expected_N: np.ndarray, drawn_DN: np.ndarray) -> None:
    """Hold the mean of each decile of expectations within four standard errors of its draws."""
    assert expected_N.shape == drawn_DN.shape[1:]
    for decile in np.array_split(np.argsort(expected_N), 10):
        drawn = drawn_DN[:, decile]
        # As if one more view had shown it, for behaviors that no view of the decile shows.
        error = np.sqrt((drawn.var() + 1 / drawn.size) / drawn.size)
        assert abs(drawn.mean() - expected_N[decile].mean()) < 4 * error


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("scenario", ["main", "bait", "silent"])
def test_expectations_are_the_means_of_draws_in_every_decile(scenario: str, place: str) -> None:
    exposed, random = exposure(scenario), np.random.default_rng(5)
    drawn = [react(exposed, random, PLACES[place]).did for _ in range(DRAWS)]
    for name in drawn[0]:
        expected_RC = expected_level(exposed, (BehaviorKind(name),), 1.0, PLACES[place])
        assert_means_agree(expected_RC.ravel(), np.array([did[name].ravel() for did in drawn]))
    shown = [np.stack([did[kind.name].ravel() for kind in KINDS], 1) for did in drawn]
    level_DN = np.array([levels(one, KINDS, 2.0) for one in shown])
    assert (level_DN == 2).any()
    assert_means_agree(expected_level(exposed, KINDS, 2.0, PLACES[place]).ravel(), level_DN)


def test_level_without_a_cap_is_the_weighted_sum_of_the_behaviors() -> None:
    exposed = exposure()
    weights = {"click": 0.5, "like": 2.0, "hate": -3.0}
    kinds = tuple(BehaviorKind(name, weight=weight) for name, weight in weights.items())
    summed_RC = sum(w * expected_level(exposed, (BehaviorKind(name),), 1.0) for name, w in weights.items())
    assert expected_level(exposed, kinds, 99.0) == pytest.approx(summed_RC, abs=1e-5)


def test_level_heeds_at_least_as_batches_do() -> None:
    exposed, random = exposure(), np.random.default_rng(6)
    kinds = (
        BehaviorKind("play_ms", at_least=5000.0), BehaviorKind("click", at_least=2.0),
        BehaviorKind("unknown", at_least=0.0, weight=0.25), BehaviorKind("unheard"),
    )  # fmt: skip
    level_RC = expected_level(exposed, kinds, 9.0)
    played = np.array([react(exposed, random).play_s_RC.ravel() >= 5 for _ in range(DRAWS)])
    assert_means_agree(level_RC.ravel() - 0.25, played.astype(float))


def test_equal_exposures_have_equal_expectations_in_any_company() -> None:
    exposed = exposure()
    few = replace(exposed, **{n: a[:7] for n, a in vars(exposed).items() if a is not None})
    assert np.array_equal(expected_level(few, KINDS, 2.0), expected_level(exposed, KINDS, 2.0)[:7])
