"""The probe: what answers cannot move, what is served, and what the price bounds."""

import numpy as np
import pytest
import torch

from easq.home.snapshots import copy_state
from tests.support.method_learners import all_scores, learner_of

REPEATS = 6
"""How often the few batches are learned, until the answers have shown something."""


def test_answers_change_no_bit_of_the_base() -> None:
    probe, batches = learner_of("probe")
    base, _ = learner_of("behavior")
    for batch in REPEATS * batches[:-1]:
        probe.step(batch)
        base.step(batch)
    behavior_N = all_scores(probe, batches[-1]).behavior_N
    assert behavior_N is not None
    np.testing.assert_array_equal(behavior_N.numpy(), base.score(batches[-1]))
    assert not np.allclose(probe.score(batches[-1]), base.score(batches[-1]), rtol=1e-3)


def test_served_is_the_base_plus_the_factor_times_the_order() -> None:
    learner, batches = learner_of("probe", "method.behavior_budget=0", "method.max_share=0.25")
    for batch in REPEATS * batches[:-1]:
        learner.step(batch)
    batch = batches[-1]
    with torch.no_grad():
        x = learner.pooling(learner.table.touch(batch.rows), torch.from_numpy(batch.rows.request_N))
        result = learner.network(x)
        order_N = learner.network.order(x, result.behavior_logit_NK)
    assert order_N.std() > 0
    torch.testing.assert_close(result.served_N, result.behavior_N + 0.25 * order_N)


def test_the_estimate_orders_a_request_as_what_is_served() -> None:
    learner, batches = learner_of("probe")
    for batch in REPEATS * batches[:-1]:
        learner.step(batch)
    batch = batches[-1]
    result = all_scores(learner, batch)
    assert result.satisfaction_A is not None and result.behavior_N is not None
    order_N = (result.served_N - result.behavior_N) / learner.network.factor
    for request in range(3):
        rows = batch.rows.request_N == request
        relative = result.satisfaction_A[rows] - result.satisfaction_A[rows].mean()
        torch.testing.assert_close(relative, order_N[rows] - order_N[rows].mean(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("budget", [0.01, 0.05])
def test_the_price_is_the_loss_that_the_base_expects(budget: float) -> None:
    learner, batches = learner_of("probe", f"method.behavior_budget={budget}", "method.max_share=1000")
    for _ in range(12):
        for batch in batches:
            learner.step(batch)
    price = learner.objective._price
    lost, _, whole = price._recent
    assert price.factor == pytest.approx(float(learner.network.factor))
    assert price.factor < 1000
    assert lost / whole * price.ratio == pytest.approx(budget, rel=0.5)


def test_without_answers_the_valence_is_served() -> None:
    learner, batches = learner_of("probe", "method.learns_answers=false")
    assert learner.answer_use is None
    for batch in batches:
        learner.step(batch)
    assert learner.network.readout.mix_3.tolist() == pytest.approx([0.0, 0.0, 0.1])
    result = learner.network.order
    with torch.no_grad():
        x = learner.pooling(learner.table.touch(batches[0].rows), torch.from_numpy(batches[0].rows.request_N))
        logit_NK = learner.network(x).behavior_logit_NK
        valence_K = learner.network.readout.valence_K
        torch.testing.assert_close(result(x, logit_NK), 0.1 * (logit_NK @ valence_K))


def test_sums_are_part_of_the_state_and_of_no_delta() -> None:
    learner, batches = learner_of("probe")
    for batch in batches:
        learner.step(batch)
    state = copy_state(learner.state())
    assert {"readout.inside.gram", "readout.mix.gram", "price.long", "behaviors.counts"} <= set(
        state["objective"]
    )
    assert not any("gram" in name for name in learner.dense.state_dict())
    assert {"ftrl_z", "ftrl_n", "squares", "weight", "crosses"} == set(state["table"])
