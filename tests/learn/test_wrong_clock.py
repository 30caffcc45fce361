"""Stamps of a wrong clock: what comes after them is learned, and the log can be put right."""

from pathlib import Path

import msgspec
import pytest

from easq.errors import InputError
from easq.learn.repair import repair_home
from easq.learn.verify import verify
from easq.log.event_time import CONFIRMED_BY
from easq.log.events import EVENTS, Answered, Event, Request
from tests.support.live_home import LiveSystem, event_batches, live_system

YEAR = 365 * 86_400_000
AHEAD = [20 * 3_600_000, YEAR]


def wrong(event: Event, ahead: int, copy: int) -> Event:
    """Return a request like another, of a clock that is ahead."""
    return msgspec.structs.replace(event, event_id=f"{event.event_id}-{copy}", ts=event.ts + ahead)


def learn(system: LiveSystem, batches: list[list[Event]]) -> int:
    """Learn batches, and return how many answers are learned since the home was made."""
    learner = system.learner()
    for batch in batches:
        system.append(batch)
        system.clock.now += 0.2
        learner.tick()
    answers = learner.status()["answers"]
    learner.close()
    return answers


def num_answers(batches: list[list[Event]]) -> int:
    return sum(isinstance(event, Answered) for batch in batches for event in batch)


def first_of_every_viewer(batches: list[list[Event]]) -> list[Event]:
    requests = [event for batch in batches for event in batch if isinstance(event, Request)]
    return list({event.user_id: event for event in requests}.values())


@pytest.mark.parametrize("ahead", AHEAD)
def test_answers_after_a_few_rankings_of_the_future_are_learned(tmp_path: Path, ahead: int) -> None:
    batches = event_batches()
    with live_system(tmp_path) as system:
        learn(system, batches[:5])
        system.append([wrong(event, ahead, 0) for event in first_of_every_viewer(batches[:5])[:8]])
        assert learn(system, batches[5:]) == num_answers(batches)
        assert verify(system.home, system.events, system.updates).different == []


def test_a_clock_that_is_behind_overwrites_nothing(tmp_path: Path) -> None:
    batches = event_batches()
    with live_system(tmp_path) as system:
        learn(system, batches[:6])
        parts = range(system.events.partitions(EVENTS))
        times = [event.ts for p in parts for event in system.events.read(EVENTS, p, 0, 1 << 20)]
        with pytest.raises(InputError, match=r"events of topic events lie after .* --even-most"):
            repair_home(system.home, sorted(times)[len(times) // 4])
        assert [e.ts for p in parts for e in system.events.read(EVENTS, p, 0, 1 << 20)] == times


@pytest.mark.parametrize("ahead", AHEAD)
def test_a_log_of_the_future_is_repaired_and_learning_goes_on(tmp_path: Path, ahead: int) -> None:
    batches = event_batches()
    half = len(batches) // 2
    with live_system(tmp_path) as system:
        before = learn(system, batches[:half])
        viewers = first_of_every_viewer(batches[:half])
        system.append([wrong(e, ahead, n) for n in range(4 * CONFIRMED_BY) for e in viewers])
        assert learn(system, batches[half : half + 2]) < num_answers(batches[: half + 2])
        now = max(event.ts for event in batches[half + 1])
        planned = repair_home(system.home, now, dry_run=True)
        result = repair_home(system.home, now, even_most=True)
        assert planned == result._replace(step=0)
        assert result.restamped["events"] == 4 * CONFIRMED_BY * len(viewers)
        assert result.step > 0
        latest = max(event.ts for batch in batches for event in batch)
        parts = range(system.events.partitions(EVENTS))
        assert all(e.ts <= latest for p in parts for e in system.events.read(EVENTS, p, 0, 1 << 20))
        assert repair_home(system.home, latest).restamped == {"events": 0, "profiles": 0}
        rest = batches[half + 2 :]
        made = {event.event_id for batch in rest for event in batch if isinstance(event, Request)}
        own = sum(isinstance(e, Answered) and e.request_id in made for batch in rest for e in batch)
        assert learn(system, rest) - before >= own > 20
        assert verify(system.home, system.events, system.updates).different == []
