"""Whatever stands in a drawn log: estimates never raise but to say why, are finite, and no answer decides."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from easq.errors import InputError
from easq.log.events import EVENTS, Answered, Asked, Behavior, Event, Request
from easq.log.packing import pack_counts, pack_floats, unpack_floats
from easq.log.sqlite import SqliteLog
from easq.prove.offpolicy.arm_estimates import warnings
from easq.prove.offpolicy.drawn_log import DrawnLog, read_explored
from easq.prove.offpolicy.estimators import Explored, estimate, lift
from easq.rank.explore import explore
from easq.recipe.experiments import Explore
from tests.support.small_worlds import small_recipe

TINY = (5e-324, 1e-300, 1e-38, 1e-9)
DRAWN = Explore(share=1.0, depth=4, top=2)


def other(requests: Sequence[Request]) -> np.ndarray:
    return np.concatenate([-unpack_floats(r.scores) for r in requests])[:, None]


def hostile(path: Path, seed: int) -> DrawnLog:
    """Return a log of drawn requests: tiny propensities, weights of 0 and 1e30, wild scores, one option."""
    random = np.random.default_rng(seed)
    wild, options = random.choice([0.0, 0.03, 1.0]), ["satisfied", "dissatisfied"][: random.integers(1, 3)]
    events: list[Event] = []
    for n in range(int(random.integers(1, 80))):
        scores = random.choice([0.0, 1e-38, 3e38, -3e38], 6) if random.random() < wild else random.random(6)
        scores = scores.astype(np.float32)
        drawn = explore(scores, np.argsort(-scores, kind="stable"), DRAWN, random)
        items = [f"i{place}" for place in drawn.order_N.tolist()]
        request = Request(
            event_id=f"r{n:03d}", user_id=f"u{n % 5}", ts=n * 1000, items=items, viewer={}, candidates={},
            scores=pack_floats(scores[drawn.order_N]), ranks=pack_counts(range(6)), num_candidates=6,
            propensities=pack_floats(drawn.propensity_N), top=2,
        )  # fmt: skip
        whose = {"user_id": request.user_id, "ts": request.ts + 500, "request_id": request.event_id}
        values = {"like": pack_floats([random.choice([np.nan, np.inf, -3e38, 1.0]), 0.0])}
        events += [request, Behavior(event_id=f"b{n}", items=items[:2], values=values, **whose)]
        chance = float(random.choice(TINY)) if random.random() < wild else 0.3
        about = {"item_id": items[n % 2], "question": "satisfaction", "propensity": chance, **whose}
        events.append(Asked(event_id=f"q{n}", **about))
        if random.random() < 0.7:
            weight = float(random.choice([0.0, 1e30])) if random.random() < wild else 1.0
            option = str(random.choice(options))
            events.append(Answered(event_id=f"a{n}", option=option, weight=weight, **about))
    with SqliteLog(path, 1) as log:
        log.append(EVENTS, events)
        return read_explored(small_recipe(), log, other)


def check(explored: Explored, score_N: np.ndarray) -> None:
    try:
        new = estimate(explored, score_N)
    except ValueError as error:
        assert "no answer of the log is of a view" in str(error)
        return
    for value in (new.snips, new.doubly_robust):
        assert value.low <= value.value <= value.high
        assert all(map(math.isfinite, (value.low, value.value, value.high)))
    assert 0 <= new.snips.value <= 1
    support = new.support
    assert 1 <= support.effective <= support.answers + 1e-6
    assert support.largest <= 1
    assert 0 <= support.clipped <= 1
    assert math.isfinite(support.mean_weight)
    warnings(support)
    try:
        lift(new, new)
    except ValueError as error:
        assert "too few answers are satisfied" in str(error)


@pytest.mark.parametrize("seed", range(60))
def test_hostile_logs_are_estimated_or_refused(seed: int, tmp_path: Path) -> None:
    with np.errstate(all="raise", under="ignore"):
        try:
            drawn = hostile(tmp_path / "a.log", seed)
        except InputError as error:
            pytest.fail(str(error))
        for score_N in (drawn.served_N, drawn.score_NM[:, 0], np.zeros(len(drawn.served_N))):
            check(drawn.explored, score_N)


def test_one_tiny_propensity_does_not_decide(tmp_path: Path) -> None:
    """300 answers, a third satisfied; one satisfied answer claims to stand for 1e9 views."""
    events: list[Event] = []
    for n in range(300):
        items = [f"i{n}-{k}" for k in range(4)]
        request = Request(
            event_id=f"r{n:03d}", user_id=f"u{n}", ts=n * 1000, items=items, viewer={}, candidates={},
            scores=pack_floats(range(4, 0, -1)), ranks=pack_counts(range(4)), num_candidates=4,
            propensities=pack_floats([0.5] * 4), top=2,
        )  # fmt: skip
        whose = {"user_id": request.user_id, "ts": request.ts + 500, "request_id": request.event_id}
        chance = 1e-9 if n == 0 else 0.5
        about = {"item_id": items[0], "question": "satisfaction", "propensity": chance, **whose}
        option = "satisfied" if n % 3 == 0 else "dissatisfied"
        events += [request, Behavior(event_id=f"b{n}", items=items[:2], values={}, **whose)]
        events += [Asked(event_id=f"q{n}", **about), Answered(event_id=f"a{n}", option=option, **about)]
    with SqliteLog(tmp_path / "a.log", 1) as log:
        log.append(EVENTS, events)
        drawn = read_explored(small_recipe(), log, other)
    assert drawn.clipped == 1
    value = estimate(drawn.explored, drawn.served_N)
    assert value.snips.value == pytest.approx((99 + 100) / (299 + 100))
    assert value.support.largest == pytest.approx(100 / 399)
