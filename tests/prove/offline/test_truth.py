from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from easq.prove.offline.tally import Tally
from easq.prove.offline.truth import TOPS, Truth, tally_tops
from easq.sources.world.recording import TruthWriter
from tests.support.measured_steps import AnswerTo, Closed, lay_out, make_listing, row_scores, views_of

SIZES = (1, 3, 4, 12, 5)
LISTINGS = [make_listing(f"r{n}", f"u{n % 3}", size) for n, size in enumerate(SIZES)]
TRUTH = {
    (r.id, p): float(np.float32(t))
    for n, r in enumerate(LISTINGS)
    for p, t in enumerate(np.random.default_rng(n).random(len(r.items)))
}


def write_truth(path: Path, sizes: dict[str, int]) -> Path:
    with TruthWriter(path) as writer:
        for request, size in sizes.items():
            writer.write([request], np.array([[TRUTH.get((request, p), 0.0) for p in range(size)]]))
    return path


@pytest.fixture
def truth(tmp_path):
    opened = Truth(write_truth(tmp_path / "truth.db", {r.id: len(r.items) for r in LISTINGS}))
    yield opened
    opened.close()


def seen(skipped: int = 2) -> list[Closed | AnswerTo]:
    """Return closed requests, of the longer ones only some candidates exposed, behind one answer."""
    closed = [
        Closed(r, {p: (p % 2 == 0, p % 3 == 0) for p in range(len(r.items)) if p != skipped or p < 1})
        for r in LISTINGS
    ]
    return [AnswerTo(LISTINGS[3], 7, 2), *closed]


def expected_top(scores: list[float], values: list[float], k: int) -> float:
    """Return the mean value of the first k over every order of the tied entries."""
    tops = []
    for shuffled in permutations(range(len(scores))):
        order = sorted(shuffled, key=lambda row: -scores[row])
        tops.append(np.mean([values[row] for row in order[:k]]))
    return float(np.mean(tops))


def test_each_viewed_row_gets_its_own_truth(truth):
    batch = lay_out(seen())
    expected = row_scores(batch, TRUTH)[: batch.num_viewed]
    assert_allclose(truth.of(batch), expected)


def test_tops_equal_a_mean_over_all_orders_of_ties(truth):
    listings = [r for r in LISTINGS if len(r.items) <= 5]
    events = [Closed(r, {p: (p % 2 == 0, p % 3 == 0) for p in range(len(r.items))}) for r in listings]
    batch = lay_out(events)
    scores = {view: float(number % 3) for number, view in enumerate(views_of(events))}
    popularity = dict.fromkeys(scores, 1.0)
    tables = {"model": scores, "popularity": popularity, "oracle": TRUTH}
    tally = Tally(1, 0.95, 1)
    given_scores = {name: row_scores(batch, tables[name]) for name in ("model", "popularity")}
    tally_tops(tally, batch, truth.of(batch), given_scores)
    names = set()
    for scorer, table in tables.items():
        prefix = "" if scorer == "model" else f"{scorer}/"
        for k in TOPS:
            true, done = [], []
            for event in events:
                if len(event.did) <= k:
                    continue
                views = [(event.listing.id, p) for p in event.did]
                own = [table[view] for view in views]
                # Likes are worth 1, long views 0.5, both the cap of 1.25.
                levels = [min(1.25, like + 0.5 * long) for like, long in event.did.values()]
                true.append(expected_top(own, [TRUTH[view] for view in views], k))
                done.append(expected_top(own, levels, k))
            if true:
                names |= {f"{prefix}true_sat@{k}", f"{prefix}behavior@{k}"}
                assert_allclose(tally.interval(f"{prefix}true_sat@{k}").value, np.mean(true))
                assert_allclose(tally.interval(f"{prefix}behavior@{k}").value, np.mean(done))
    assert set(tally.names()) == names


def test_only_exposed_candidates_of_closed_requests_are_ranked(truth):
    batch, tally = lay_out(seen()), Tally(1, 0.95, 1)
    tally_tops(tally, batch, truth.of(batch), {"model": row_scores(batch, TRUTH)})
    shown = [[TRUTH[r.id, p] for p in range(len(r.items)) if p != 2] for r in LISTINGS]
    best = [max(row) for row in shown if len(row) > 1]
    assert_allclose(tally.interval("true_sat@1").value, np.mean(best))


def test_nothing_ranks_above_the_oracle(truth):
    batch, tally = lay_out(seen()), Tally(1, 0.95, 1)
    random = np.random.default_rng(5).random(len(batch.item_N))
    tally_tops(tally, batch, truth.of(batch), {"model": random})
    for k in TOPS:
        assert tally.interval(f"true_sat@{k}").value <= tally.interval(f"oracle/true_sat@{k}").value


def test_a_step_without_views_needs_no_truth(truth):
    assert len(truth.of(lay_out([AnswerTo(LISTINGS[1], 0, 2)]))) == 0


def test_a_request_that_the_file_does_not_hold_is_an_error(truth):
    stranger = make_listing("r99", "u1", 3)
    with pytest.raises(KeyError, match="r99"):
        truth.of(lay_out([Closed(stranger, {0: (True, True)})]))


def test_a_file_with_too_few_candidates_is_an_error(tmp_path):
    opened = Truth(write_truth(tmp_path / "truth.db", {r.id: max(1, len(r.items) - 1) for r in LISTINGS}))
    with pytest.raises(ValueError, match=r"holds 2 candidates of request 'r1'"):
        opened.of(lay_out(seen(skipped=-1)))
    opened.close()


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file of true satisfaction"):
        Truth(tmp_path / "nowhere.db")


def test_a_path_may_hold_any_character(tmp_path):
    folder = tmp_path / "100 % truth? #1"
    folder.mkdir()
    opened = Truth(write_truth(folder / "truth.db", {r.id: len(r.items) for r in LISTINGS}))
    assert len(opened.of(lay_out(seen())))
    opened.close()
