"""Service and learner killed under load: nothing acknowledged is lost, and nothing counts twice."""

import random
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from easq.features.encode import Encoder
from easq.home.home import Home
from easq.learn.recorded_steps import recorded, repeat
from easq.learn.trainer import Trainer
from easq.learn.verify import verify
from easq.log.base import EventLog
from easq.log.events import COMMANDS, EVENTS, Answered, Event, Request, RollbackRequest
from easq.log.ids import version_name
from easq.log.packing import unpack_floats
from easq.rank.parameters import Parameters
from tests.support.live_processes import Running, running, until
from tests.support.live_viewers import Crowd

_CHECKED_EVERY = 7


@pytest.mark.parametrize("kills", [6, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_system_keeps_every_promise(tmp_path: Path, kills: int) -> None:
    with running(tmp_path, "live.keep_versions=1000") as system:
        with Crowd(system.url) as crowd:
            crowd.put_all()
            _kill(system, kills, random.Random(kills))
            system.wait_until_ready()
            _live_on(system, crowd)
        system.wait_until_learned()
        system.stop()
        learner = system.status("learner")
        assert system.service.errors() == system.learner.errors() == []
        with system.home.open_events() as events, system.home.open_updates() as updates:
            logged = everything(events)
            verified = verify(system.home, events, updates)
            went_back = any(record.restore for record in recorded(updates, 0))
            _check_scores(system.home, logged, events, updates)

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
    assert verified.deltas >= 1
    assert verified.versions > 1
    assert verified.checkpoints >= 1
    assert system.home.checkpoints.name(learner["seq"]) in system.home.checkpoints.names()
    assert "main" in learner["losses"], "behavior was trained, too"
    assert went_back


def _live_on(system: Running, crowd: Crowd) -> None:
    """Wait until more events were accepted and a newer version was made."""
    num_events, newest = len(crowd.accepted), system.home.versions.names()[-1]
    until(
        lambda: len(crowd.accepted) > num_events and system.home.versions.names()[-1] > newest,
        system.text,
    )


def everything(log: EventLog) -> list[Event]:
    """Return all events on the log, partition after partition."""
    return [e for p in range(log.partitions(EVENTS)) for e in log.read(EVENTS, p, 0, 1 << 30)]


def _kill(system: Running, kills: int, moment: random.Random) -> None:
    """Kill one role or both, now and then before it has come back from the last time; roll back halfway."""
    for number in range(kills):
        if number == kills // 2:
            _ask_to_go_back(system)
        if moment.random() < 0.75:
            system.wait_until_ready()
        time.sleep(moment.uniform(0.0, 1.5))
        roles = moment.choice(([system.service], [system.learner], [system.service, system.learner]))
        for role in roles:
            role.kill()
        for role in roles:
            role.start()


def _ask_to_go_back(system: Running) -> None:
    name = system.home.versions.names()[0]
    with system.home.open_updates() as updates:
        updates.append(COMMANDS, [RollbackRequest(event_id="c", user_id="", ts=0, name=name)])


def _check_scores(home: Home, logged: list[Event], events: EventLog, updates: EventLog) -> None:
    """Score some rankings again, by the parameters that a replay has at the version that each names."""
    requests = [event for event in logged if isinstance(event, Request)][::_CHECKED_EVERY]
    encoder, parameters = Encoder(home.recipe.features, home.recipe.row_salt), Parameters(home.recipe)
    trainer, checked = Trainer(home.recipe, events.partitions(EVENTS)), 0
    for record in (None, *recorded(updates, 0)):
        if record is not None:
            repeat(trainer, events, record, home.versions.load, home.erasure)
            trainer.take_late()
        version = version_name(record.seq if record else 0)
        if some := [request for request in requests if request.version == version]:
            parameters.replace(0, trainer.learner.state())
            for request in some:
                scores = parameters.score(encoder.encode([request]))
                np.testing.assert_allclose(unpack_floats(request.scores), scores, rtol=0, atol=1e-5)
            checked += len(some)
    assert checked == len(requests) > 20
