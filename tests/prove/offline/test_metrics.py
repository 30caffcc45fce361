import doctest
import warnings
from collections import defaultdict
from itertools import permutations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import roc_auc_score

from easq.prove.offline.metrics import (
    ListRanks,
    ScoreOrder,
    ViewerOrder,
    grouped_pairs,
    list_ranks,
    row_ranks,
)
from tests.support.paths import DOCS

with warnings.catch_warnings():
    # Its import compares versions by a deprecated class of distutils.
    warnings.simplefilter("ignore", DeprecationWarning)
    from torchmetrics.functional.retrieval import (
        retrieval_hit_rate,
        retrieval_normalized_dcg,
        retrieval_reciprocal_rank,
    )

CUTS = (1, 2, 3, 5, 10, 20)


@st.composite
def scored_rows(draw: st.DrawFn, smallest: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return users, labels and scores with many ties."""
    num = draw(st.integers(smallest, 40))
    users = draw(arrays.arrays(np.int64, num, elements=st.sampled_from([-7, 0, 3, 2**62])))
    labels = draw(arrays.arrays(np.bool_, num))
    scores = draw(arrays.arrays(np.float64, num, elements=st.integers(-4, 4).map(lambda n: n / 4)))
    return users, labels, scores


@st.composite
def lists(draw: st.DrawFn) -> list[tuple[int, list[float]]]:
    """Return per list the place of its relevant entry and the scores, with ties."""
    scores = st.lists(st.integers(0, 3).map(float), min_size=1, max_size=6)
    entries = draw(st.lists(scores, min_size=1, max_size=4))
    return [(draw(st.integers(0, len(entry) - 1)), entry) for entry in entries]


def flat(given_lists: list[tuple[int, list[float]]]) -> ListRanks:
    list_E = np.repeat(np.arange(len(given_lists)), [len(scores) for _, scores in given_lists])
    score_E = np.concatenate([scores for _, scores in given_lists])
    relevant_E = np.concatenate([np.arange(len(scores)) == place for place, scores in given_lists])
    return list_ranks(list_E, score_E, relevant_E)


@settings(deadline=None)
@given(scored_rows(2))
def test_auc_equals_that_of_scikit_learn_with_ties(rows):
    _, labels, scores = rows
    placements = ScoreOrder(scores).placements(labels)
    if labels.all() or not labels.any():
        assert placements is None
        return
    expected = roc_auc_score(labels, scores)
    assert_allclose(placements.positive_R[labels].mean(), expected)
    assert_allclose(placements.negative_R[~labels].mean(), expected)


@settings(deadline=None)
@given(scored_rows(2))
def test_a_placement_is_the_share_of_the_other_class_that_the_row_beats(rows):
    _, labels, scores = rows
    placements = ScoreOrder(scores).placements(labels)
    if placements is None:
        return
    beats = (np.sign(scores[:, None] - scores[None, :]) + 1) / 2
    assert_allclose(placements.positive_R, beats[:, ~labels].mean(1))
    assert_allclose(placements.negative_R, 1 - beats[:, labels].mean(1))


@settings(deadline=None)
@given(scored_rows())
def test_viewer_auc_equals_scikit_learn_viewer_by_viewer(rows):
    users, labels, scores = rows
    by_viewer = ViewerOrder(users, scores)
    assert_array_equal(by_viewer.user_U, np.unique(users))
    for user, num, auc in zip(by_viewer.user_U, by_viewer.num_U, by_viewer.auc(labels), strict=True):
        own = users == user
        assert num == own.sum()
        if len(set(labels[own])) < 2:
            assert np.isnan(auc)
        else:
            assert_allclose(auc, roc_auc_score(labels[own], scores[own]))


@settings(deadline=None)
@given(scored_rows())
def test_others_mean_is_the_mean_of_the_viewers_other_rows(rows):
    users, labels, scores = rows
    means = ViewerOrder(users, scores).others_mean(labels)
    for row, user in enumerate(users):
        others = np.delete(labels, row)[np.delete(users, row) == user]
        assert_allclose(means[row], others.mean() if len(others) else np.nan)


@settings(deadline=None)
@given(scored_rows(), st.data())
def test_grouped_pairs_equal_a_loop_over_all_pairs(rows, data):
    groups, _, scores = rows
    levels = data.draw(arrays.arrays(np.int64, len(groups), elements=st.integers(0, 2)))
    expected: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for better in range(len(groups)):
        for worse in range(len(groups)):
            if groups[better] == groups[worse] and levels[better] > levels[worse]:
                right = 1 if scores[better] > scores[worse] else 0.5 if scores[better] == scores[worse] else 0
                expected[int(groups[better])][0] += right
                expected[int(groups[better])][1] += 1
    result = zip(*(column.tolist() for column in grouped_pairs(groups, levels, scores)), strict=True)
    assert {group: [right, pairs] for group, right, pairs in result} == expected


@pytest.mark.parametrize("k", CUTS)
@settings(deadline=None)
@given(seed=st.integers(0, 1000), size=st.integers(1, 30))
def test_list_metrics_equal_those_of_torchmetrics_without_ties(k, seed, size):
    random = np.random.default_rng(seed)
    scores = random.permutation(size).astype(np.float64)
    place = int(random.integers(size))
    relevant = torch.arange(size) == place
    ranks = flat([(place, scores.tolist())])
    given_scores = torch.from_numpy(scores)
    assert_allclose(ranks.hit(k), retrieval_hit_rate(given_scores, relevant, top_k=k))
    assert_allclose(ranks.ndcg(k), retrieval_normalized_dcg(given_scores, relevant, top_k=k), rtol=1e-6)
    assert_allclose(ranks.reciprocal(), retrieval_reciprocal_rank(given_scores, relevant), rtol=1e-6)


@settings(deadline=None)
@given(lists())
def test_tied_entries_count_as_the_mean_over_all_their_orders(given_lists):
    ranks = flat(given_lists)
    for number, (place, scores) in enumerate(given_lists):
        reached = []
        for shuffled in permutations(range(len(scores))):
            order = sorted(shuffled, key=lambda entry: -scores[entry])
            reached.append(order.index(place) + 1)
        rank = np.array(reached)
        assert_allclose(ranks.reciprocal()[number], (1 / rank).mean())
        for k in CUTS:
            assert_allclose(ranks.hit(k)[number], (rank <= k).mean())
            assert_allclose(ranks.ndcg(k)[number], np.where(rank <= k, 1 / np.log2(1 + rank), 0).mean())


@settings(deadline=None)
@given(scored_rows())
def test_a_rows_rank_is_counted_within_its_group(rows):
    groups, _, scores = rows
    ranks = row_ranks(groups, scores)
    for row, (group, score) in enumerate(zip(groups, scores, strict=True)):
        own = scores[groups == group]
        assert (ranks.above_G[row], ranks.tied_G[row]) == ((own > score).sum(), (own == score).sum())


def test_no_lists_give_no_values():
    none = np.zeros(0)
    ranks = list_ranks(none.astype(np.int64), none, none.astype(np.bool_))
    assert len(ranks.hit(1)) == len(ranks.ndcg(5)) == len(ranks.reciprocal()) == 0


def test_the_example_of_the_protocol_runs():
    path = DOCS / "evaluation.md"
    failed, tried = doctest.testfile(str(path), module_relative=False)
    assert tried and not failed
