from collections import defaultdict
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from easq.prove.offline.references import Popularity, References, random_scores
from tests.support.measured_steps import AnswerTo, Closed, Listing, lay_out, make_listing

ITEMS = tuple(f"i{n}" for n in range(8))
PRIOR_VIEWS = 10


@st.composite
def histories(draw: st.DrawFn) -> list[list[Closed]]:
    """Return steps of closed requests over a few items."""
    steps = []
    for number in range(draw(st.integers(1, 4))):
        happened = []
        for request in range(draw(st.integers(1, 3))):
            items = tuple(draw(st.permutations(ITEMS)))[: draw(st.integers(1, 5))]
            did = {
                p: (draw(st.booleans()), draw(st.booleans()))
                for p in range(len(items))
                if draw(st.booleans()) or p == 0
            }
            happened.append(Closed(Listing(f"r{number}.{request}", "u1", items), did))
        steps.append(happened)
    return steps


def level(did: tuple[bool, ...]) -> float:
    return min(1.25, did[0] + 0.5 * did[1])


@settings(max_examples=40, deadline=None)
@given(histories())
def test_popularity_is_the_drawn_in_mean_level_of_earlier_batches(steps):
    references = References(("popularity",), 1)
    levels_of: dict[str, list[float]] = defaultdict(list)
    for happened in steps:
        batch = lay_out(happened)
        result = references.score(batch)["popularity"]
        all_levels = [x for levels in levels_of.values() for x in levels]
        mean = sum(all_levels) / len(all_levels) if all_levels else 0.0
        rows = [event.listing.items[p] for event in happened for p in sorted(event.did)]
        expected = [
            (sum(levels_of[i]) + PRIOR_VIEWS * mean) / (len(levels_of[i]) + PRIOR_VIEWS) for i in rows
        ]
        assert_allclose(result, expected)
        for event in happened:
            for position, did in event.did.items():
                levels_of[event.listing.items[position]].append(level(did))


def test_popularity_never_sees_the_batch_that_it_scores():
    listing = Listing("r1", "u1", ITEMS)
    liked, ignored = (
        lay_out([Closed(listing, dict.fromkeys(range(8), (did, did)))]) for did in (True, False)
    )
    first, second = References(("popularity",), 1), References(("popularity",), 1)
    assert_array_equal(first.score(liked)["popularity"], second.score(ignored)["popularity"])
    assert (first.score(liked)["popularity"] > second.score(liked)["popularity"]).all()


def test_popularity_learns_from_viewed_rows_alone():
    popularity = Popularity()
    answered = lay_out([AnswerTo(Listing("r1", "u1", ITEMS), 0, 2)])
    popularity.observe(answered)
    assert not popularity.state()["sums"].any()


def test_a_restored_reference_scores_the_same():
    batch = lay_out([Closed(Listing("r1", "u1", ITEMS), {p: (p % 2 == 0, False) for p in range(8)})])
    references, restored = References(("popularity", "random"), 3), References(("popularity", "random"), 3)
    references.score(batch)
    restored.restore(references.state())
    expected, result = references.score(batch), restored.score(batch)
    assert list(result) == ["popularity", "random"]
    for name, scores in expected.items():
        assert_array_equal(result[name], scores)


@pytest.mark.parametrize("names", [(), ("random",), ("popularity",)])
def test_only_the_named_references_score(names):
    batch = lay_out([Closed(make_listing("r1", "u1", 2), {0: (True, True)})])
    assert tuple(References(names, 1).score(batch)) == names


def test_random_scores_are_those_of_the_view_and_not_of_the_batch():
    listing, other = Listing("r1", "u1", ITEMS, 1000), Listing("r2", "u2", ITEMS, 1000)
    whole = lay_out(
        [Closed(other, {1: (True, True)}), Closed(listing, {2: (True, False)}), AnswerTo(listing, 5, 2)]
    )
    alone = lay_out([AnswerTo(listing, 0, 1)])
    scores, expected = random_scores(whole, 7), random_scores(alone, 7)
    assert_array_equal(scores[-8:], expected)
    assert scores[1] == expected[2]
    assert_array_equal(random_scores(whole, 7), scores)
    assert not np.isin(random_scores(whole, 8), scores).any()


def many_random_scores(seed: int) -> np.ndarray:
    """Return requests x candidates of 8 viewers who ask every second for items of one catalogue."""
    listings = []
    for number in range(800):
        items = tuple(f"i{number * 7 % 90 + place}" for place in range(10))
        listings.append(Listing(f"r{number}", f"u{number % 8}", items, number // 8 * 1000))
    batch = lay_out([Closed(r, dict.fromkeys(range(10), (False, False))) for r in listings])
    return random_scores(batch, seed).reshape(800, 10)


def test_random_scores_are_uniform_and_independent():
    scores = many_random_scores(1)
    assert scores.min() >= 0
    assert scores.max() < 1
    assert stats.kstest(scores.ravel(), "uniform").pvalue > 0.001
    first = np.bincount(scores.argmax(1), minlength=10)
    assert stats.chisquare(first).pvalue > 0.001
    for one, two in (
        (scores[:, 0], scores[:, 1]),
        (scores[:-8, 3], scores[8:, 3]),
        (scores.ravel(), many_random_scores(2).ravel()),
    ):
        assert stats.spearmanr(one, two).pvalue > 0.001


def test_items_are_distinguished_by_their_names_alone():
    one, two = (
        lay_out([Closed(Listing("r1", "u1", items), {0: (True, True)})]) for items in (("a",), ("b",))
    )
    assert one.item_N[0] == crc32(b"a")
    assert random_scores(one, 1) != random_scores(two, 1)
