"""Two arms side by side in one service, each with a model and a learner of its own."""

from pathlib import Path

import msgspec
import numpy as np

from easq.features.encode import Encoder
from easq.home.arm_homes import open_arms
from easq.home.home import open_home
from easq.log.events import Request
from easq.log.packing import unpack_floats
from easq.model.method import read_method
from easq.recipe.assignment import Arms
from easq.recipe.experiments import Arm, Experiment
from easq.recipe.read import to_toml
from tests.e2e.test_scores import requests
from tests.support.live_processes import EASQ, Role, easq, free_port, is_ready, lively_recipe, until
from tests.support.live_viewers import Crowd
from tests.support.past_parameters import parameters_of

ANSWERS, STEPS = 20, 6


def test_each_viewer_is_ranked_by_the_model_of_his_arm(tmp_path: Path) -> None:
    (tmp_path / "behavior.toml").write_text('[method]\nkind = "behavior"\n')
    arms = (Arm(name="control", recipe="behavior.toml"), Arm(name="treatment"))
    recipe = lively_recipe("live.snapshot_seconds=3600.0")
    recipe = msgspec.structs.replace(recipe, experiments=(Experiment(name="easq", arms=arms, share=0.8),))
    (tmp_path / "recipe.toml").write_text(to_toml(recipe))
    folder, port = tmp_path / "home", free_port()
    place = ["--home", str(folder), "--recipe", str(tmp_path / "recipe.toml"), "--port", str(port)]
    up = Role([*EASQ, "up", *place], tmp_path / "up.txt")
    up.start()
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: is_ready(url), up.text)
        with Crowd(url, pause_s=0.02) as crowd:
            crowd.put_all()
            home = open_home(folder, methods=read_method)
            control = open_arms(home)["easq/control"]

            def have_learned() -> bool:
                # The behavior-only arm reads the same answers, and learns nothing from them.
                statuses = [found.read_status("learner") for found in (home, control)]
                return all(
                    t.get("answers", 0) >= ANSWERS and t["seq"] >= STEPS and t["lag_events"] < 100
                    for t in statuses
                )

            until(have_learned, up.text, 120.0)
        status = home.read_status("service")
        assert status["arms"].keys() == {"easq/control"}
        up.stop()
    finally:
        if up.process is not None and up.process.poll() is None:
            up.kill()
    assert "Traceback" not in up.text()
    logged = requests(home)
    dealt = Arms.of(home.recipe)
    served: dict[str, list[Request]] = {}
    for request in logged:
        assert request.arm == dealt.label(request.user_id, {})
        served.setdefault(request.arm, []).append(request)
    assert served.keys() == {"default", "easq/control", "easq/treatment"}
    assert {crowd.rankings[r.event_id].arm for r in served["easq/control"]} == {"easq/control"}
    encoder = Encoder(home.recipe.features, home.recipe.row_salt)
    for label, some in served.items():
        found = control if label == "easq/control" else home
        with found.open_updates() as updates:
            by_version = {
                version: parameters_of(found, updates, version) for version in {r.version for r in some}
            }
        assert len(by_version) > 2, "the parameters moved while it served"
        for request in some:
            scores = by_version[request.version].score(encoder.encode([request]))
            np.testing.assert_allclose(scores, unpack_floats(request.scores), rtol=0, atol=1e-5)
    for arm in ([], ["--arm", "easq/control"]):
        code, verified = easq("verify", "--home", str(folder), *arm)
        assert (code, verified["different"]) == (0, [])
        assert verified["steps"] >= STEPS
