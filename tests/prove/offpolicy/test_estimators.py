"""Estimates from a drawn log against the truth, which a world knows."""

import dataclasses
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from easq.errors import InputError
from easq.log.events import EVENTS, Answered, Asked, Behavior, Event, Request
from easq.log.packing import pack_counts, pack_floats, unpack_floats
from easq.log.sqlite import SqliteLog
from easq.prove.offpolicy.drawn_log import read_explored
from easq.prove.offpolicy.estimators import Explored, OffPolicyEstimate, among_first, estimate, lift
from easq.rank.explore import explore
from easq.recipe.experiments import Explore
from easq.sources.world.simulate import AskRates, World
from tests.support.small_worlds import small_recipe, small_world, world_events

TOP = 3
UNIFORM = Explore(share=0.3, depth=10, top=TOP)
DRAWN = Explore(share=1.0, kind="plackett_luce", depth=10, top=TOP, temperature=2.0)
COVERAGE = [(UNIFORM, 500, 60, 50), (DRAWN, 150, 30, 24)]


class DrawnWorld:
    """A world whose viewers see the first three of a drawn ranking, a part of which is asked."""

    def __init__(
        self, settings: Explore, requests: int, seed: int, ask: float = 0.3, baited: bool = False
    ) -> None:
        """With `baited`, views of bait may be asked about more often than others."""
        world = World(seed, AskRates(), num_viewers=1500, num_items=500)
        chunks = list(world.chunks(requests))
        random = np.random.default_rng(seed)
        self.truth_QC = np.concatenate([c.satisfaction_RC for c in chunks]).astype(np.float64)
        user_Q = np.concatenate([c.user_R for c in chunks])
        item_QC = np.concatenate([c.item_RC for c in chunks])
        quality_QC, bait_QC = (getattr(world.catalogue, f"{n}_I")[item_QC] for n in ("quality", "bait"))
        noise_QC = random.standard_normal(item_QC.shape)
        self.old_QC = (quality_QC + 2 * bait_QC + 0.5 * noise_QC).astype(np.float32)
        self.new_QC = (quality_QC - bait_QC + 0.5 * random.standard_normal(item_QC.shape)).astype(np.float32)
        num = item_QC.shape[1]
        drawn = [explore(s, np.argsort(-s, kind="stable"), settings, random) for s in self.old_QC]
        order_QC = np.stack([d.order_N for d in drawn])
        propensity_QC = np.empty(item_QC.shape)
        np.put_along_axis(propensity_QC, order_QC, np.stack([d.propensity_N for d in drawn]), 1)
        first_QC = np.zeros(item_QC.shape, np.bool_)
        np.put_along_axis(first_QC, order_QC[:, :TOP], True, 1)
        self.ask_chance_QC = np.clip(0.5 + 0.25 * bait_QC, 0.1, 0.9) if baited else np.ones(item_QC.shape)
        asked_QC = first_QC & (random.random(item_QC.shape) < ask * self.ask_chance_QC)
        satisfied_QC = random.random(item_QC.shape) < self.truth_QC
        features = np.stack([quality_QC.ravel(), bait_QC.ravel()], 1).astype(np.float64)
        self.log = Explored(
            np.repeat(np.arange(len(item_QC)), num), user_Q, TOP, first_QC.ravel(), propensity_QC.ravel(),
            asked_QC.ravel() / ask, satisfied_QC.ravel().astype(np.float64), features,
        )  # fmt: skip

    def true_value(self, score_QC: np.ndarray) -> float:
        first = among_first(self.log.request_N, score_QC.ravel(), TOP)
        return float(np.average(self.truth_QC.ravel()[first], weights=self.ask_chance_QC.ravel()[first]))

    def estimated(self, score_QC: np.ndarray, **changes: float) -> OffPolicyEstimate:
        return estimate(self.log, score_QC.ravel().astype(np.float64), **changes)


@cache
def drawn_world(kind: str, seed: int = 1) -> DrawnWorld:
    return DrawnWorld(UNIFORM if kind == "uniform" else DRAWN, 4000, seed)


@pytest.mark.parametrize("kind", ["uniform", "plackett_luce"])
def test_both_estimators_cover_the_truth_of_a_ranking_that_was_never_served(kind: str) -> None:
    world = drawn_world(kind)
    new, old = world.true_value(world.new_QC), world.true_value(world.old_QC)
    # One run: at a level that chance misses once in 1,000 times.
    result = world.estimated(world.new_QC, confidence=0.999)
    assert new - old > 0.05
    for value in (result.snips, result.doubly_robust):
        assert value.low < new < value.high
        assert value.value > old
    assert result.support.mean_weight == pytest.approx(1, abs=0.1)
    assert result.support.unsupported == 0
    assert result.support.clipped == 0
    assert result.support.effective < result.support.answers


@pytest.mark.parametrize(("settings", "requests", "runs", "least"), COVERAGE)
def test_intervals_cover_as_often_as_they_say(
    settings: Explore, requests: int, runs: int, least: int
) -> None:
    covered = np.zeros(3)
    for seed in range(runs):
        world = DrawnWorld(settings, requests, seed + 10)
        new, old = world.estimated(world.new_QC), world.estimated(world.old_QC)
        truth = world.true_value(world.new_QC)
        change = lift(new, old).doubly_robust
        true_change = truth / world.true_value(world.old_QC) - 1
        covered += [
            new.snips.low < truth < new.snips.high,
            new.doubly_robust.low < truth < new.doubly_robust.high,
            change.low < true_change < change.high,
        ]
    # With 95 % each, fewer than `least` come by chance less than once in 1,000 times.
    assert (covered >= least).all(), covered


def test_the_value_is_that_of_views_that_may_be_asked_about() -> None:
    """Everything is seen, and each view's answer is its mean: what is left is the form of the estimate."""
    world = DrawnWorld(UNIFORM, 4000, 1, baited=True)
    everything = np.ones(world.truth_QC.size)
    log = dataclasses.replace(
        world.log, first_N=everything > 0, propensity_N=everything, answer_N=world.ask_chance_QC.ravel(),
        satisfied_N=world.truth_QC.ravel(),
    )  # fmt: skip
    result = estimate(log, world.new_QC.ravel().astype(np.float64))
    truth = world.true_value(world.new_QC)
    of_all = world.truth_QC.ravel()[among_first(log.request_N, world.new_QC.ravel(), TOP)].mean()
    assert result.snips.value == pytest.approx(truth)
    assert abs(result.doubly_robust.value - truth) < 0.2 * abs(of_all - truth)


def test_a_model_of_answers_makes_the_interval_shorter() -> None:
    world = drawn_world("uniform")
    result = world.estimated(world.new_QC)
    assert result.doubly_robust.high - result.doubly_robust.low < result.snips.high - result.snips.low


def test_the_plain_mean_of_what_was_shown_is_far_from_the_truth() -> None:
    world = drawn_world("uniform")
    log, first = world.log, among_first(world.log.request_N, world.new_QC.ravel(), TOP)
    shown = log.first_N & (log.answer_N > 0)
    assert abs(log.satisfied_N[shown].mean() - world.true_value(world.new_QC)) > 0.03
    assert first.sum() == 3 * 4000


def test_clipping_bounds_weights_and_reports_the_share_cut() -> None:
    world = drawn_world("plackett_luce")
    whole, cut = world.estimated(world.new_QC), world.estimated(world.new_QC, most_weight=2.0)
    assert cut.support.clipped > 0.05 > whole.support.clipped == 0
    assert cut.support.effective > whole.support.effective
    assert cut.support.largest < whole.support.largest


def test_items_that_cannot_come_up_are_unsupported() -> None:
    world = DrawnWorld(Explore(share=0.3, depth=5, top=TOP), 1000, 3)
    result = world.estimated(world.new_QC)
    assert result.support.unsupported > 0.2
    assert result.support.mean_weight == pytest.approx(1 - result.support.unsupported, abs=0.1)
    silent = world.log.__class__(**{**vars(world.log), "answer_N": 0 * world.log.answer_N})
    with pytest.raises(ValueError, match="no answer of the log"):
        estimate(silent, world.new_QC.ravel().astype(np.float64))


def test_there_is_no_change_relative_to_nothing() -> None:
    world = drawn_world("uniform")
    old_N = world.old_QC.ravel().astype(np.float64)
    shown_N = among_first(world.log.request_N, old_N, TOP)
    log = dataclasses.replace(world.log, satisfied_N=world.log.satisfied_N * ~shown_N)
    new, old = estimate(log, world.new_QC.ravel().astype(np.float64)), estimate(log, old_N)
    assert old.snips.value == 0 < new.snips.value
    with pytest.raises(ValueError, match=r"has the value 0\.000 \(snips\), .* too few answers are satisfied"):
        lift(new, old)


def test_a_log_gives_the_rows_that_were_served(tmp_path: Path) -> None:
    """Requests of eight candidates, drawn by the share; two of the first three are seen, some asked."""
    random = np.random.default_rng(5)
    settings = Explore(share=0.5, depth=5, top=TOP)
    events: list[Event] = []
    for n in range(120):
        scores = random.random(8).astype(np.float32)
        drawn = explore(scores, np.argsort(-scores, kind="stable"), settings, random)
        items = [f"i{place}" for place in drawn.order_N.tolist()]
        request = Request(
            event_id=f"r{n:03d}", user_id=f"u{n % 7}", ts=n * 1000, items=items, viewer={}, candidates={},
            scores=pack_floats(scores[drawn.order_N]), ranks=pack_counts(range(8)), num_candidates=8,
            propensities=pack_floats(drawn.propensity_N), top=TOP,
        )  # fmt: skip
        whose = {"user_id": request.user_id, "ts": request.ts + 500, "request_id": request.event_id}
        events += [request, Behavior(event_id=f"b{n}", items=items[:2], values={}, **whose)]
        about = {"item_id": items[n % 2], "question": "satisfaction", "propensity": 0.25, **whose}
        if n % 3 == 0:
            events.append(Asked(event_id=f"q{n}", **about))
        if n % 6 == 0:
            option = ("dissatisfied", "satisfied")[n % 4 // 2]
            events.append(Answered(event_id=f"a{n}", option=option, weight=0.5, **about))

    def other(requests: Sequence[Request]) -> np.ndarray:
        return np.concatenate([-unpack_floats(r.scores) for r in requests])[:, None]

    with SqliteLog(tmp_path / "a.log", 2) as log:
        log.append(EVENTS, events)
        result = read_explored(small_recipe(), log, other)
        of_one = read_explored(small_recipe(), log, other, lambda request: request.user_id == "u3")
    explored = result.explored
    assert explored.top == TOP
    assert len(explored.request_N) == 120 * 5
    assert np.array_equal(result.score_NM[:, 0], -result.served_N)
    assert result.reached == 5 / 8
    assert np.bincount(explored.request_N[explored.first_N]).tolist() == [2] * 120
    assert len(explored.user_Q) == 120
    assert len(set(explored.user_Q.tolist())) == 7
    answered = explored.answer_N > 0
    assert answered.sum() == 20
    assert explored.satisfied_N[answered].sum() == 10
    # Asked one time in four, answered about one time in two, and worth one half.
    assert explored.answer_N[answered].mean() == pytest.approx(0.5 * 4 * 2, rel=0.1)
    assert len(of_one.explored.user_Q) == sum(n % 7 == 3 for n in range(120))
    value = estimate(explored, result.served_N).snips
    assert 0 <= value.value <= 1


def test_a_ranking_of_equal_scores_does_not_follow_the_draw(tmp_path: Path) -> None:
    random, settings, events = np.random.default_rng(7), Explore(share=1.0, depth=8, top=TOP), []
    for n in range(300):
        drawn = explore(np.zeros(8, np.float32), np.arange(8), settings, random)
        items = [f"i{n}-{place}" for place in drawn.order_N.tolist()]
        request = Request(
            event_id=f"r{n:03d}", user_id=f"u{n}", ts=n * 1000, items=items, viewer={}, candidates={},
            scores=pack_floats(np.zeros(8)), ranks=pack_counts(range(8)), num_candidates=8,
            propensities=pack_floats(drawn.propensity_N), top=TOP,
        )  # fmt: skip
        whose = {"user_id": request.user_id, "ts": request.ts + 500, "request_id": request.event_id}
        about = {"item_id": items[0], "question": "satisfaction", "propensity": 1.0, **whose}
        events += [request, Behavior(event_id=f"b{n}", items=items[:TOP], values={}, **whose)]
        events += [Asked(event_id=f"q{n}", **about), Answered(event_id=f"a{n}", option="satisfied", **about)]
    with SqliteLog(tmp_path / "a.log", 2) as log:
        log.append(EVENTS, events)
        result = read_explored(small_recipe(), log, lambda some: np.zeros((8 * len(some), 1)))
    support = estimate(result.explored, result.score_NM[:, 0]).support
    assert support.mean_weight == pytest.approx(1.0, abs=0.15), "8/3 where what was shown comes first"


def test_a_log_without_drawn_rankings_is_reported(tmp_path: Path) -> None:
    assert small_world().candidates == 10
    with SqliteLog(tmp_path / "a.log") as log:
        log.append(EVENTS, world_events(20))
        with pytest.raises(InputError, match="no request of the log was drawn"):
            read_explored(small_recipe(), log, lambda _: np.zeros(0))
