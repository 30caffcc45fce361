import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from easq.learn.learner import StepResult
from easq.prove.offline import first_scores
from easq.prove.offline.first_scores import FirstScores
from tests.support.measured_steps import (
    Closed,
    Listing,
    Said,
    View,
    lay_out,
    make_listing,
    make_step,
    row_scores,
)
from tests.support.random_steps import SCORERS, Scores, Told, as_first_scored, joined, make_story

A, B = make_listing("a", "u", 4), make_listing("b", "u", 2)
SEEN = {3: (True, False), 0: (False, True)}
"""What was done with two of A's candidates, reported in another order than that of the list."""
EMPTY = FirstScores().state().tobytes()


def scored(number: int, *listings: Listing) -> Mapping[View, float]:
    """Return scores that name step, request and position: 2.11 is B's second candidate in the third step."""
    return {
        (r.id, p): number + "abcdef".index(r.id) / 10 + p / 100 for r in listings for p in range(len(r.items))
    }


@dataclasses.dataclass(frozen=True)
class First:
    """What every scorer is said to have scored first: of closed requests' views, and of lists."""

    step: StepResult
    viewed: Scores
    listed: Scores


def tell(keeper: FirstScores, told: Told, expert: bool = True) -> First:
    batch = lay_out(told.events)
    step = make_step(batch, told.scores["model"], told.scores["expert"] if expert else None)
    step, scores = keeper.apply(step, {name: row_scores(batch, told.scores[name]) for name in SCORERS})
    assert list(scores) == list(SCORERS)
    assert step.served_N.dtype == np.float32
    assert step.served_N.tolist() == scores["model"].astype(np.float32).tolist()
    request_N, num = batch.rows.request_N.tolist(), batch.num_viewed
    views = list(zip([batch.request_ids[r] for r in request_N], batch.position_N.tolist(), strict=True))
    viewed, listed = (
        {
            name: dict(zip(views[rows], score_N[rows].tolist(), strict=True))
            for name, score_N in scores.items()
        }
        for rows in (slice(num), slice(num, None))
    )
    if step.satisfaction_L is not None:
        listed["expert"] = dict(zip(views[num:], step.satisfaction_L.tolist(), strict=True))
    return First(step, viewed, listed)


def story(*steps: Sequence[Closed | Said]) -> list[Told]:
    """Return steps that score every view by the step's number, each scorer higher than the one before."""
    return [
        Told(
            happened,
            {
                name: scored(number + 10 * place, *{e.listing.id: e.listing for e in happened}.values())
                for place, name in enumerate((*SCORERS, "expert"))
            },
        )
        for number, happened in enumerate(joined(steps))
    ]


def assert_first(told: Told, wanted: Scores, keeper: FirstScores) -> None:
    """Compare what is measured of a step: closed requests' views, and lists with a fresh answer."""
    found = tell(keeper, told)
    fresh = {(e.listing.id, p) for e in told.fresh for p in range(len(e.listing.items))}
    for name in (*SCORERS, "expert"):
        table = {view: score for view, score in found.listed[name].items() if view in fresh}
        assert table == pytest.approx({view: wanted[name][view] for view in fresh})
    closed = {(e.listing.id, p) for e in told.closed for p in e.did}
    for name in SCORERS:
        assert found.viewed[name] == pytest.approx({view: wanted[name][view] for view in closed})


def test_the_first_answers_scores_hold_for_later_answers_and_for_the_close():
    keeper, steps = FirstScores(), story([Said(A, 1, 2)], [Said(A, 0, 1)], [Closed(A, SEEN)])
    first = steps[0].scores
    for told in steps:
        assert_first(told, first, keeper)
    assert first["model"] != steps[2].scores["model"]


def test_other_requests_of_the_same_steps_keep_their_own_scores():
    steps = story([Said(A, 1, 2)], [Said(B, 0, 0), Closed(A, SEEN)], [Closed(B, {1: (True, True)})])
    keeper = FirstScores()
    for told, first in zip(steps, as_first_scored(steps), strict=True):
        assert_first(told, first.scores, keeper)
    assert keeper.state().tobytes() == EMPTY


def test_a_request_without_answers_has_the_scores_of_its_close():
    [told] = story([Closed(A, SEEN), Closed(B, {0: (False, False)})])
    assert_first(told, told.scores, FirstScores())


@pytest.mark.parametrize("earlier", [[], [[Said(A, 2, 0)]]])
def test_an_answer_and_the_close_in_one_step_have_that_steps_scores_or_earlier_ones(earlier):
    steps, keeper = story(*earlier, [Said(A, 1, 2), Closed(A, SEEN)]), FirstScores()
    for told in steps:
        assert_first(told, steps[0].scores, keeper)


def test_nothing_is_kept_of_a_closed_request():
    keeper = FirstScores()
    one, two, after = story([Said(A, 1, 2)], [Closed(A, SEEN)], [Said(A, 0, 0)])
    tell(keeper, one)
    assert keeper.state().tobytes() != EMPTY
    tell(keeper, two)
    assert keeper.state().tobytes() == EMPTY
    assert tell(keeper, after).listed["model"] == pytest.approx(after.scores["model"])
    assert keeper.state().tobytes() == EMPTY


def test_an_answer_after_the_view_in_the_step_of_the_close_changes_nothing():
    keeper = FirstScores()
    [told] = story([Closed(A, SEEN), Said(A, 0, 0)])
    assert_first(told, told.scores, keeper)
    assert keeper.state().tobytes() == EMPTY


def test_requests_that_never_close_are_forgotten_oldest_first(monkeypatch):
    monkeypatch.setattr(first_scores, "_MOST", 2)
    listings = [make_listing(name, "u", 2) for name in "abc"]
    steps = story(*([Said(r, 0, 2)] for r in listings), [Closed(r, {1: (True, True)}) for r in listings])
    keeper = FirstScores()
    for told in steps[:3]:
        tell(keeper, told)
    assert tell(keeper, steps[3]).viewed["model"] == pytest.approx(
        {("a", 1): 3.01, ("b", 1): 1.11, ("c", 1): 2.21}  # the close's own, and those of the answers
    )


def test_a_model_without_an_expert_has_first_scores_too():
    keeper, (one, two) = FirstScores(), story([Said(A, 1, 2)], [Closed(A, SEEN)])
    assert tell(keeper, one, expert=False).step.satisfaction_L is None
    found = tell(keeper, two, expert=False).viewed["model"]
    assert found == pytest.approx({view: one.scores["model"][view] for view in (("a", 0), ("a", 3))})


def test_neither_given_nor_returned_scores_are_what_is_kept():
    keeper, (one, two) = FirstScores(), story([Said(A, 1, 2)], [Closed(A, SEEN)])
    batch = lay_out(one.events)
    given = row_scores(batch, one.scores["model"])
    step = make_step(batch, one.scores["model"], one.scores["expert"])
    before = given.copy()
    _, returned = keeper.apply(step, dict.fromkeys(SCORERS, given))
    given += 100
    for name in SCORERS:
        returned[name] += 100
    closed = lay_out(two.events)
    own = row_scores(closed, two.scores["model"])
    untouched = own.copy()
    step, scores = keeper.apply(
        dataclasses.replace(step, batch=closed, served_N=own.astype(np.float32), satisfaction_L=None),
        dict.fromkeys(SCORERS, own),
    )
    assert own.tolist() == untouched.tolist()
    assert scores["model"].tolist() == before[closed.position_N].tolist()


@pytest.mark.parametrize("seed", range(12))
def test_stories_are_scored_as_by_the_first_step_that_names_each_request(seed):
    steps, keeper = make_story(seed), FirstScores()
    for told, first in zip(steps, as_first_scored(steps), strict=True):
        assert_first(told, first.scores, keeper)


@pytest.mark.parametrize("seed", range(20, 24))
def test_a_restored_keeper_goes_on_as_if_never_stopped(seed):
    straight, resumed = FirstScores(), FirstScores()
    for number, told in enumerate(make_story(seed)):
        if number % 3 == 1:
            state, resumed = resumed.state(), FirstScores()
            resumed.restore(state.copy())
        wanted, found = tell(straight, told), tell(resumed, told)
        assert (found.viewed, found.listed) == (wanted.viewed, wanted.listed)
    assert resumed.state().tobytes() == straight.state().tobytes()
