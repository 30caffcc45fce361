"""What a live service served is what its log says: scores and features come out again from the log alone."""

from pathlib import Path

import numpy as np
import pytest

from easq.features.columns import Shape
from easq.features.encode import Encoder
from easq.features.profiles import Profiles
from easq.features.profiles.rebuild import catch_up
from easq.home.home import Home
from easq.log.events import EVENTS, Request
from easq.log.packing import unpack_floats
from tests.e2e.test_kill import everything
from tests.support.live_processes import running, until
from tests.support.live_viewers import Crowd
from tests.support.past_parameters import parameters_of


@pytest.mark.parametrize("rankings", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_scores_and_features_come_out_again_from_the_log(tmp_path: Path, rankings: int) -> None:
    """Deltas of the whole run are kept, so that every version can be had again."""
    with running(tmp_path, "live.snapshot_seconds=3600.0") as system:
        with Crowd(system.url, pause_s=0.05) as crowd:
            crowd.put_all()
            until(lambda: len(crowd.rankings) >= rankings, system.text, 300.0)
        system.stop()
    logged = requests(system.home)
    assert crowd.rankings.keys() <= {request.event_id for request in logged}
    versions = {ranking.version for ranking in crowd.rankings.values()}
    assert len(versions) > 5, "the parameters moved while it served"
    for request in logged:
        if request.event_id in crowd.rankings:
            served = crowd.rankings[request.event_id]
            scores = dict(zip(served.items, served.scores, strict=True))
            assert served.version == request.version
            np.testing.assert_array_equal(unpack_floats(request.scores), [scores[i] for i in request.items])
    _check_scores(system.home, logged)
    _check_features(system.home, logged)


def requests(home: Home) -> list[Request]:
    """Return the logged requests in the order in which they were scored."""
    with home.open_events() as events:
        result = [event for event in everything(events) if isinstance(event, Request)]
    return sorted(result, key=lambda request: request.event_id)


def _check_scores(home: Home, logged: list[Request]) -> None:
    """Score again by the logged features and the named version."""
    encoder = Encoder(home.recipe.features, home.recipe.row_salt)
    by_version: dict[str, list[Request]] = {}
    for request in logged:
        by_version.setdefault(request.version, []).append(request)
    with home.open_updates() as updates:
        for version, some in by_version.items():
            parameters = parameters_of(home, updates, version)
            for request in some:
                scores = parameters.score(encoder.encode([request]))
                np.testing.assert_allclose(scores, unpack_floats(request.scores), rtol=0, atol=1e-5)


def _check_features(home: Home, logged: list[Request]) -> None:
    """Build the profiles again, up to what was known when each request was ranked."""
    sides = [Shape.of(home.recipe.features, side) for side in ("viewer", "candidate")]
    with home.open_events() as events:
        profiles = Profiles.of(home.recipe, events.partitions(EVENTS))
        for request in sorted(logged, key=lambda request: sum(request.as_of)):
            catch_up(profiles, events, request.as_of)
            viewer = profiles.viewer(request.user_id, request.ts)
            assert viewer.pack(sides[0])[0] == request.viewer
            candidates = profiles.candidates(request.items, request.ts)
            assert candidates.pack(sides[1]) == (request.candidates, request.lengths)
