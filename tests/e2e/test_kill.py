"""Service and learner killed under load: nothing acknowledged is lost, and nothing counts twice."""

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from easq.events import EVENTS, Answered, Event, Request
from easq.learn.verify import verify
from easq.log.base import EventLog
from tests.e2e.crowd import Crowd
from tests.e2e.running import Running, running, until


@pytest.mark.parametrize("kills", [6, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_system_keeps_every_promise(tmp_path: Path, kills: int) -> None:
    with running(tmp_path) as system:
        with Crowd(system.url) as crowd:
            crowd.tell_all()
            _kill(system, kills, random.Random(kills))
            system.wait_until_ready()
            _live_on(system, crowd)
        system.wait_until_learned()
        system.stop()
        learner = system.told("learner")
        assert system.service.errors() == system.learner.errors() == []
        with system.home.open_events() as events, system.home.open_updates() as updates:
            logged = everything(events)
            verified = verify(system.home, events, updates)

    times = Counter(event.event_id for event in logged)
    assert set(times.values()) == {1}
    assert all(ranking.logged for ranking in crowd.rankings.values())
    assert crowd.rankings.keys() <= {e.event_id for e in logged if isinstance(e, Request)}
    assert crowd.accepted.keys() <= times.keys()

    answered = {event.event_id for event in logged if isinstance(event, Answered)}
    assert crowd.answers <= answered
    assert learner["answers"] == verified.answers == len(answered) > 10 * kills
    assert learner["orphans"] == 0, "a ranking is on the log before anybody hears of it"

    assert verified.different == []
    assert verified.deltas > 10
    assert verified.versions > 1
    assert verified.checkpoints >= 1
    assert system.home.checkpoints.name(learner["seq"]) in system.home.checkpoints.names()
    assert "main" in learner["losses"], "behaviour was trained, too"


def _live_on(system: Running, crowd: Crowd) -> None:
    """Wait until more was said and a version was made of it."""
    said, newest = len(crowd.accepted), system.home.versions.names()[-1]
    until(
        lambda: len(crowd.accepted) > said and system.home.versions.names()[-1] > newest,
        system.text,
    )


def everything(log: EventLog) -> list[Event]:
    """Return all events on the log, partition after partition."""
    return [e for p in range(log.partitions(EVENTS)) for e in log.read(EVENTS, p, 0, 1 << 30)]


def _kill(system: Running, kills: int, moment: random.Random) -> None:
    """Kill one role or both, now and then before it has come back from the last time."""
    for _ in range(kills):
        if moment.random() < 0.75:
            system.wait_until_ready()
        time.sleep(moment.uniform(0.0, 1.5))
        roles = moment.choice(([system.service], [system.learner], [system.service, system.learner]))
        for role in roles:
            role.kill()
        for role in roles:
            role.start()
