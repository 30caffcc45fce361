"""The probe: what answers cannot move, what the price bounds, and what the prior holds back."""

import numpy as np
import pytest
import torch

from easq.batch import Batch
from easq.learn.learner import Learner
from easq.model.scores import Scores
from tests.learn.methods import learner_of

SHARE = "baselines.satisfaction_share=1.0"


@torch.no_grad()
def scores(learner: Learner, batch: Batch) -> Scores:
    request_N = torch.from_numpy(batch.rows.request_N)
    x = learner.pooling(learner.table.touch(batch.rows), request_N)
    found: Scores = learner.model(x, torch.arange(len(request_N)))
    return found


def test_behavior_score_is_that_of_the_behavior_only_model() -> None:
    probe, batches = learner_of("probe", SHARE, "training.gradient_clip=0")
    alone, _ = learner_of("behavior", "training.gradient_clip=0")
    for batch in batches[:-1]:
        probe.step(batch)
        alone.step(batch)
    behavior_N = scores(probe, batches[-1]).behavior_N
    assert behavior_N is not None
    np.testing.assert_allclose(behavior_N.numpy(), alone.score(batches[-1]), rtol=1e-4, atol=1e-5)
    assert not np.allclose(probe.score(batches[-1]), alone.score(batches[-1]), rtol=1e-3)


def test_served_is_behavior_plus_the_share_of_the_logit() -> None:
    learner, batches = learner_of("probe", "baselines.satisfaction_share=0.25")
    for batch in batches[:-1]:
        learner.step(batch)
    found = scores(learner, batches[-1])
    assert found.behavior_N is not None
    assert found.satisfaction_A is not None
    assert found.satisfaction_A.std() > 0
    torch.testing.assert_close(found.served_N, found.behavior_N + 0.25 * found.satisfaction_A)


def test_a_stronger_prior_says_less() -> None:
    spread = []
    for ridge in (0.0, 1e4):
        learner, batches = learner_of("probe", SHARE, f"alignment.ridge={ridge}")
        for batch in batches:
            learner.step(batch)
        spread.append(float(learner.model.probe.weight.detach().abs().sum()))
    assert spread[1] < 0.2 * spread[0]


@pytest.mark.parametrize("tolerance", [0.01, 0.3])
def test_price_spends_no_more_behavior_than_is_tolerated(tolerance: float) -> None:
    learner, batches = learner_of("probe", SHARE, f"alignment.behavior_tolerance={tolerance}")
    price = learner.model.price
    for _ in range(4):
        for batch in batches:
            learner.step(batch)
    served, reference = (price.sums / price.count).tolist()
    assert 0 < float(price.factor) <= 1
    assert (reference - served) / reference < tolerance + 0.03
