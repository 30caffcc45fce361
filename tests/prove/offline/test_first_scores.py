import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from easq.learn.learner import StepResult
from easq.prove.offline import first_scores
from easq.prove.offline.first_scores import FirstScores
from tests.support.measured_steps import (
    AnswerTo,
    Closed,
    Listing,
    View,
    lay_out,
    make_listing,
    make_step,
    row_scores,
)
from tests.support.random_steps import SCORERS, ScoredStep, Scores, as_first_scored, joined, make_history

A, B = make_listing("a", "u", 4), make_listing("b", "u", 2)
SEEN = {3: (True, False), 0: (False, True)}
"""Behaviors with two of A's candidates, reported in an order other than the list's."""
EMPTY = FirstScores().state().tobytes()


def numbered_scores(number: int, *listings: Listing) -> Mapping[View, float]:
    """Return scores that name step, request and position: 2.11 is B's second candidate in the third step."""
    return {
        (r.id, p): number + "abcdef".index(r.id) / 10 + p / 100 for r in listings for p in range(len(r.items))
    }


@dataclasses.dataclass(frozen=True)
class First:
    """First scores by every scorer: of closed requests' views, and of lists."""

    step: StepResult
    viewed: Scores
    listed: Scores


def measure_step(store: FirstScores, scored: ScoredStep, expert: bool = True) -> First:
    batch = lay_out(scored.events)
    step = make_step(batch, scored.scores["model"], scored.scores["expert"] if expert else None)
    step, scores = store.apply(step, {name: row_scores(batch, scored.scores[name]) for name in SCORERS})
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


def scored_steps(*steps: Sequence[Closed | AnswerTo]) -> list[ScoredStep]:
    """Return steps that score every view by the step's number, each scorer higher than the one before."""
    return [
        ScoredStep(
            happened,
            {
                name: numbered_scores(
                    number + 10 * place, *{e.listing.id: e.listing for e in happened}.values()
                )
                for place, name in enumerate((*SCORERS, "expert"))
            },
        )
        for number, happened in enumerate(joined(steps))
    ]


def assert_first(scored: ScoredStep, wanted: Scores, store: FirstScores) -> None:
    """Compare what is measured of a step: closed requests' views, and lists with a fresh answer."""
    result = measure_step(store, scored)
    fresh = {(e.listing.id, p) for e in scored.fresh for p in range(len(e.listing.items))}
    for name in (*SCORERS, "expert"):
        table = {view: score for view, score in result.listed[name].items() if view in fresh}
        assert table == pytest.approx({view: wanted[name][view] for view in fresh})
    closed = {(e.listing.id, p) for e in scored.closed for p in e.did}
    for name in SCORERS:
        assert result.viewed[name] == pytest.approx({view: wanted[name][view] for view in closed})


def test_the_first_answers_scores_hold_for_later_answers_and_for_the_close():
    store, steps = FirstScores(), scored_steps([AnswerTo(A, 1, 2)], [AnswerTo(A, 0, 1)], [Closed(A, SEEN)])
    first = steps[0].scores
    for scored in steps:
        assert_first(scored, first, store)
    assert first["model"] != steps[2].scores["model"]


def test_other_requests_of_the_same_steps_keep_their_own_scores():
    steps = scored_steps(
        [AnswerTo(A, 1, 2)], [AnswerTo(B, 0, 0), Closed(A, SEEN)], [Closed(B, {1: (True, True)})]
    )
    store = FirstScores()
    for scored, first in zip(steps, as_first_scored(steps), strict=True):
        assert_first(scored, first.scores, store)
    assert store.state().tobytes() == EMPTY


def test_a_request_without_answers_has_the_scores_of_its_close():
    [scored] = scored_steps([Closed(A, SEEN), Closed(B, {0: (False, False)})])
    assert_first(scored, scored.scores, FirstScores())


@pytest.mark.parametrize("earlier", [[], [[AnswerTo(A, 2, 0)]]])
def test_an_answer_and_the_close_in_one_step_have_that_steps_scores_or_earlier_ones(earlier):
    steps, store = scored_steps(*earlier, [AnswerTo(A, 1, 2), Closed(A, SEEN)]), FirstScores()
    for scored in steps:
        assert_first(scored, steps[0].scores, store)


def test_nothing_is_kept_of_a_closed_request():
    store = FirstScores()
    one, two, after = scored_steps([AnswerTo(A, 1, 2)], [Closed(A, SEEN)], [AnswerTo(A, 0, 0)])
    measure_step(store, one)
    assert store.state().tobytes() != EMPTY
    measure_step(store, two)
    assert store.state().tobytes() == EMPTY
    assert measure_step(store, after).listed["model"] == pytest.approx(after.scores["model"])
    assert store.state().tobytes() == EMPTY


def test_an_answer_after_the_view_in_the_step_of_the_close_changes_nothing():
    store = FirstScores()
    [scored] = scored_steps([Closed(A, SEEN), AnswerTo(A, 0, 0)])
    assert_first(scored, scored.scores, store)
    assert store.state().tobytes() == EMPTY


def test_requests_that_never_close_are_forgotten_oldest_first(monkeypatch):
    monkeypatch.setattr(first_scores, "_MOST", 2)
    listings = [make_listing(name, "u", 2) for name in "abc"]
    steps = scored_steps(
        *([AnswerTo(r, 0, 2)] for r in listings), [Closed(r, {1: (True, True)}) for r in listings]
    )
    store = FirstScores()
    for scored in steps[:3]:
        measure_step(store, scored)
    assert measure_step(store, steps[3]).viewed["model"] == pytest.approx(
        {("a", 1): 3.01, ("b", 1): 1.11, ("c", 1): 2.21}  # the close's own, and those of the answers
    )


def test_a_model_without_an_expert_has_first_scores_too():
    store, (one, two) = FirstScores(), scored_steps([AnswerTo(A, 1, 2)], [Closed(A, SEEN)])
    assert measure_step(store, one, expert=False).step.satisfaction_L is None
    result = measure_step(store, two, expert=False).viewed["model"]
    assert result == pytest.approx({view: one.scores["model"][view] for view in (("a", 0), ("a", 3))})


def test_stored_scores_are_copies_of_given_and_returned_ones():
    store, (one, two) = FirstScores(), scored_steps([AnswerTo(A, 1, 2)], [Closed(A, SEEN)])
    batch = lay_out(one.events)
    given = row_scores(batch, one.scores["model"])
    step = make_step(batch, one.scores["model"], one.scores["expert"])
    before = given.copy()
    _, returned = store.apply(step, dict.fromkeys(SCORERS, given))
    given += 100
    for name in SCORERS:
        returned[name] += 100
    closed = lay_out(two.events)
    own = row_scores(closed, two.scores["model"])
    untouched = own.copy()
    step, scores = store.apply(
        dataclasses.replace(step, batch=closed, served_N=own.astype(np.float32), satisfaction_L=None),
        dict.fromkeys(SCORERS, own),
    )
    assert own.tolist() == untouched.tolist()
    assert scores["model"].tolist() == before[closed.position_N].tolist()


@pytest.mark.parametrize("seed", range(12))
def test_stories_are_scored_as_by_the_first_step_that_names_each_request(seed):
    steps, store = make_history(seed), FirstScores()
    for scored, first in zip(steps, as_first_scored(steps), strict=True):
        assert_first(scored, first.scores, store)


@pytest.mark.parametrize("seed", range(20, 24))
def test_a_restored_keeper_goes_on_as_if_never_stopped(seed):
    straight, resumed = FirstScores(), FirstScores()
    for number, scored in enumerate(make_history(seed)):
        if number % 3 == 1:
            state, resumed = resumed.state(), FirstScores()
            resumed.restore(state.copy())
        wanted, result = measure_step(straight, scored), measure_step(resumed, scored)
        assert (result.viewed, result.listed) == (wanted.viewed, wanted.listed)
    assert resumed.state().tobytes() == straight.state().tobytes()
