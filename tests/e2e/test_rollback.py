"""`easq rollback` on a system that serves: its parameters go back, and what was done can be done again."""

from pathlib import Path

import numpy as np

from easq.features.encode import Encoder
from easq.learn.recorded_steps import recorded
from easq.log.ids import version_name
from easq.log.packing import unpack_floats
from easq.service.client import Client, Ranking
from tests.e2e.test_scores import requests
from tests.support.live_processes import Running, easq, running, until
from tests.support.live_viewers import Crowd
from tests.support.past_parameters import parameters_of

ITEMS = [f"strange{n}" for n in range(8)]


def test_scores_go_back_while_it_serves(tmp_path: Path) -> None:
    with running(tmp_path, "live.keep_versions=1000") as system:
        at_first = _ask(system)
        assert at_first.version == version_name(0)
        with Crowd(system.url) as crowd:
            crowd.put_all()
            until(lambda: len(crowd.answers) > 20 and len(system.home.versions.names()) > 2, system.text)
            learned = _ask(system)
            assert _by_item(learned) != _by_item(at_first)
            _check_named_versions(system, at_first, learned)
        system.wait_until_learned()
        place = ["--home", str(system.home.folder)]
        assert easq("rollback", version_name(0), *place) == (0, {"asked": version_name(0)})
        until(lambda: _service_version(system) == _version_gone_back_to(system), system.text)
        gone_back = _ask(system)
        assert _by_item(gone_back) == _by_item(at_first)
        _check_named_versions(system, at_first, gone_back)
        with Crowd(system.url, seed=2) as crowd:
            until(lambda: len(crowd.answers) > 20, system.text)
            code, verified = easq("verify", *place)
            assert (code, verified["different"]) == (0, []), "it may be verified while it lives"
        assert _by_item(_ask(system)) != _by_item(at_first)
        system.wait_until_learned()
        system.stop()
        code, verified = easq("verify", *place)
        assert (code, verified["different"]) == (0, [])
        assert min(verified[kind] for kind in ("deltas", "versions", "checkpoints")) > 0


def _ask(system: Running) -> Ranking:
    """Rank by features that are all given, so that scores are those of the parameters alone."""
    with Client(system.url) as client:
        call = {
            "author_id": list(range(8)),
            "topic": list(range(8)),
            "style": list(range(8)),
            "tags": [[n, n + 1] for n in range(8)],
            "duration_s": [10.0 * n for n in range(8)],
            "age_days": [float(n) for n in range(8)],
            "like_rate": [0.01 * n for n in range(8)],
        }
        return client.rank("stranger", ITEMS, context={"segment": 3, "device": 1}, features=call)


def _by_item(ranking: Ranking) -> dict[str, float]:
    return dict(zip(ranking.items, ranking.scores, strict=True))


def _service_version(system: Running) -> str:
    return str(system.status("service")["version"])


def _version_gone_back_to(system: Running) -> str:
    """Return the name that old parameters have got anew, nothing while they have none."""
    with system.home.open_updates() as updates:
        return "".join(version_name(record.seq) for record in recorded(updates, 0) if record.restore)


def _check_named_versions(system: Running, *rankings: Ranking) -> None:
    """Score again by the versions that rankings name, while the updates that lead to them are there."""
    encoder = Encoder(system.home.recipe.features, system.home.recipe.row_salt)
    asked = {ranking.request_id for ranking in rankings}
    with system.home.open_updates() as updates:
        for request in requests(system.home):
            if request.event_id in asked:
                asked.remove(request.event_id)
                scores = parameters_of(system.home, updates, request.version).score(encoder.encode([request]))
                np.testing.assert_allclose(scores, unpack_floats(request.scores), rtol=0, atol=1e-5)
    assert not asked
