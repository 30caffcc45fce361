import numpy as np
import pytest

from easq.features.batch import Batch
from easq.home.snapshots import copy_state
from easq.learn.publish import make_delta
from easq.learn.recorded_steps import touched_by
from easq.model.method import methods
from easq.rank.parameters import Parameters
from tests.support.method_learners import learner_of, read_by
from tests.support.small_worlds import small_recipe


@pytest.mark.parametrize(
    ("method", "probe_dim"), [*((method, 0) for method in methods()), ("probe_2026_11", 8)]
)
def test_every_method_serves_by_deltas_what_it_has_learned(method: str, probe_dim: int) -> None:
    settings = read_by(method, serving_steps=2, satisfaction_share=0.5, probe_dim=probe_dim)
    learner, batches = learner_of(method, *settings)
    parameters = Parameters(small_recipe(f"method.kind={method}", *settings))
    state = learner.state()
    table = {name: state["table"][name] for name in ("weight", "crosses") if name in state["table"]}
    snapshot = copy_state({"dense": state["dense"], "table": table})
    assert parameters.refuses_version(snapshot) == ""
    parameters.replace(0, snapshot)
    for seq, batch in enumerate(batches[:4], 1):
        step = learner.step(batch)
        delta = make_delta(learner, touched_by([step]), seq, seq - 1, [], 0, 0)
        assert parameters.refuses(delta) == ""
        parameters.apply(delta)
    assert_same(parameters, learner.score(batches[4]), batches[4])
    assert_same(parameters.copy(), learner.score(batches[4]), batches[4])


def assert_same(parameters: Parameters, expected: np.ndarray, batch: Batch) -> None:
    np.testing.assert_allclose(parameters.score(batch.rows), expected, rtol=1e-5, atol=1e-6)
