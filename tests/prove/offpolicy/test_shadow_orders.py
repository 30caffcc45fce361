"""Our order beside the one that viewers saw: the estimate holds the truth, and says what it cannot know."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from easq.errors import InputError
from easq.log.events import EVENTS, Answered, Asked, Behavior, Event, Request
from easq.log.packing import pack_counts, pack_floats
from easq.log.sqlite import SqliteLog
from easq.prove.offpolicy.shadow_orders import ShadowEstimate, compare_orders
from easq.prove.report import board
from tests.support.small_worlds import small_recipe

CANDIDATES, SHOWN, TOP = 12, 5, 3
SLOPE = 1.2


def chance(score: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-SLOPE * score)))


def shadow_request(number: int, user: int, scores: np.ndarray, shown: Sequence[int]) -> Request:
    """Return a ranking in the shadow: what was shown, in its order, and then the others as ranked."""
    others = [n for n in np.argsort(-scores).tolist() if n not in shown]
    order = [*shown, *others]
    return Request(
        event_id=f"r{number:05d}", user_id=f"u{user}", ts=number * 1000, items=[f"i{n}" for n in order],
        viewer={}, candidates={}, scores=pack_floats(scores[order]), ranks=pack_counts(range(len(order))),
        num_candidates=len(order), num_returned=len(shown), is_shadow=True,
    )  # fmt: skip


def told(request: Request, item: str, option: str, chance: float = 0.5, weight: float = 1.0) -> list[Event]:
    """Return an ask about an item and its answer."""
    about: dict[str, Any] = {
        "user_id": request.user_id, "ts": request.ts + 500, "request_id": request.event_id, "item_id": item,
        "question": "satisfaction", "propensity": chance,
    }  # fmt: skip
    answer = Answered(event_id=f"a{request.event_id}{item}", option=option, weight=weight, **about)
    return [Asked(event_id=f"q{request.event_id}{item}", **about), answer]


def seen(request: Request) -> Behavior:
    """Return a report that all shown items were seen."""
    shown = request.items[: request.num_returned]
    values = {"like": pack_floats([0.0] * len(shown))}
    return Behavior(
        event_id=f"b{request.event_id}", user_id=request.user_id, ts=request.ts + 200, items=shown,
        request_id=request.event_id, values=values,
    )  # fmt: skip


def compared(path: Path, events: Sequence[Event]) -> ShadowEstimate | None:
    with SqliteLog(path, 1) as log:
        log.append(EVENTS, sorted(events, key=lambda event: event.ts))
        return compare_orders(small_recipe(), log)


def world(seed: int, num_requests: int = 300, is_known: bool = True) -> tuple[list[Event], float, float]:
    """Return events, and the true shares of satisfied places as shown and as we order them.

    Items are shown at random. If satisfaction `is_known`, our score says all of it; else nothing.
    """
    random = np.random.default_rng(seed)
    events: list[Event] = []
    values = []
    for n in range(num_requests):
        scores = random.normal(0, 1, CANDIDATES).astype(np.float32)
        spread = (scores - scores.mean()) / scores.std()
        satisfies = chance(spread) if is_known else np.full(CANDIDATES, 0.6)
        shown = random.choice(CANDIDATES, SHOWN, replace=False).tolist()
        request = shadow_request(n, int(random.integers(0, 80)), scores, shown)
        events += [request, seen(request)]
        for place in range(SHOWN):
            if random.random() < 0.3:
                is_satisfied = random.random() < satisfies[shown[place]]
                option = "satisfied" if is_satisfied else "dissatisfied"
                events += told(request, request.items[place], option, 0.3)
        best = np.argsort(-scores)[:TOP]
        values.append([satisfies[shown[:TOP]].mean(), satisfies[best].mean()])
    shown_value, proposed_value = np.mean(values, 0)
    return events, float(shown_value), float(proposed_value)


@pytest.mark.long
def test_the_interval_holds_the_truth_as_often_as_it_says(tmp_path: Path) -> None:
    held = np.zeros(3)
    for seed in range(40):
        events, shown, proposed = world(seed)
        result = compared(tmp_path / f"{seed}.log", events)
        assert result is not None
        truths = (shown, proposed, proposed - shown)
        estimates = (result.shown, result.proposed, result.change)
        held += [e.low <= truth <= e.high for e, truth in zip(estimates, truths, strict=True)]
        assert result.supported
        assert result.warnings == []
    # Of 40 intervals at 95 %, fewer than 34 hold the truth once in 500.
    assert (held >= 34).all(), held


@pytest.mark.long
def test_a_score_that_knows_nothing_gains_nothing(tmp_path: Path) -> None:
    changes = []
    for seed in range(20):
        result = compared(tmp_path / f"{seed}.log", world(seed, is_known=False)[0])
        assert result is not None
        changes.append(result.change)
    assert sum(change.low <= 0 <= change.high for change in changes) >= 16
    assert abs(np.mean([change.value for change in changes])) < 0.02


def test_what_is_said_of_the_log_is_counted(tmp_path: Path) -> None:
    scores = np.arange(CANDIDATES, dtype=np.float32)
    requests = [shadow_request(n, n % 4, scores, [0, 11, 5]) for n in range(8)]
    served = msgspec.structs.replace(requests[0], event_id="served", is_shadow=False)
    events: list[Event] = [served, seen(served), *told(served, "i0", "dissatisfied")]
    for request in requests:
        # The second item shown is our first; we would also have put 10 and 9 there, which nobody saw.
        events += [
            request,
            seen(request),
            *told(request, "i11", "satisfied"),
            *told(request, "i0", "uncertain"),
        ]
    result = compared(tmp_path / "log", events)
    assert result is not None
    assert (result.requests, result.viewers, result.evidence.answers) == (8, 4, 16)
    assert result.not_shown == pytest.approx(2 / 3)
    assert result.said.better is not None
    assert result.said.worse is not None
    assert (result.said.better.value, result.said.worse.value) == (1.0, 0.0)
    assert result.proposed.value > result.shown.value
    assert not result.supported
    assert result.warnings == [
        "its 16 answers are worth 16 even ones, which is too few to go by (100 are wanted)",
        "4 viewers gave its answers and 30 are needed",
    ]
    html = board.shadow(result)
    for words in (
        "Our order beside what viewers saw",
        "16 answers",
        "67% were not shown",
        "Do not go by these",
    ):
        assert words in html


def test_answers_that_are_all_alike_tell_nothing(tmp_path: Path) -> None:
    events: list[Event] = []
    for n in range(60):
        request = shadow_request(n, n, np.arange(CANDIDATES, dtype=np.float32), [0, 11, 5])
        events += [
            request,
            seen(request),
            *told(request, "i11", "satisfied"),
            *told(request, "i0", "satisfied"),
        ]
    result = compared(tmp_path / "log", events)
    assert result is not None
    assert not result.supported
    assert "its answers are all alike, so chance cannot be measured" in result.warnings


def test_equal_logs_give_equal_results(tmp_path: Path) -> None:
    events, _, _ = world(3, 60)
    assert compared(tmp_path / "a.log", events) == compared(tmp_path / "b.log", events)


def test_without_rankings_in_the_shadow_there_is_nothing(tmp_path: Path) -> None:
    request = msgspec.structs.replace(world(1, 1)[0][0], is_shadow=False)
    assert compared(tmp_path / "log", [request]) is None


def test_without_answers_it_says_so(tmp_path: Path) -> None:
    request = shadow_request(1, 1, np.arange(4, dtype=np.float32), [0, 1])
    with pytest.raises(InputError, match="1 rankings were made in the shadow, and no answer is about"):
        compared(tmp_path / "log", [request, seen(request)])


@pytest.mark.parametrize("seed", range(60))
def test_no_log_makes_it_fail(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    options = ["satisfied", "dissatisfied"][: int(random.integers(1, 3))]
    events: list[Event] = []
    for n in range(int(random.integers(1, 30))):
        size = int(random.integers(1, 8))
        wild = random.choice([0.0, 1e-38, 3e38, -3e38], size).astype(np.float32)
        scores = wild if random.random() < 0.3 else random.normal(0, 1, size).astype(np.float32)
        shown = random.permutation(size)[: int(random.integers(1, size + 1))].tolist()
        request = shadow_request(n, int(random.integers(0, 3)), scores, shown)
        events += [request, seen(request)]
        for item in request.returned:
            if random.random() < 0.5:
                weight = float(random.choice([0.0, 1.0, 1e30]))
                tiny = float(random.choice([5e-324, 1e-38, 0.3]))
                events += told(request, item, str(random.choice(options)), tiny, weight)
    try:
        result = compared(tmp_path / "log", events)
    except InputError as error:
        assert "no answer is about what was shown" in str(error)
        return
    assert result is not None
    for value in (result.shown, result.proposed, result.change):
        assert -1 <= value.low <= value.value <= value.high <= 1
    assert 1 - 1e-9 <= result.evidence.effective <= result.evidence.answers + 1e-6
    board.shadow(result)
