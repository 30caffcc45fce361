import numpy as np
import pytest
import torch

from easq.learn.answer_rows import answer_rows
from easq.model.methods.easq import Easq, EasqSettings
from easq.model.response import inverse, pair_weights
from tests.learn.test_learner import SATISFACTION, all_parameters, late_batch
from tests.support.method_learners import moved_by, trained_by

WEIGHTS = "method.propensity_weights=true"


def test_an_answer_weighs_by_the_inverse_of_its_chance_down_to_the_floor() -> None:
    """1 / .5, 1 / .1 and, floored, 1 / .05: 2, 10, 20, over their mean 32 / 3."""
    weight = inverse(torch.tensor([0.5, 0.1, 0.001]), 0.05)
    torch.testing.assert_close(weight, torch.tensor([2.0, 10.0, 20.0]) * 3 / 32)
    assert len(inverse(torch.zeros(0), 0.05)) == 0


@pytest.mark.parametrize(
    ("loss", "may_move"),
    [("response", ("dense.model.response",)), ("satisfaction", SATISFACTION)],
    ids=["response", "satisfaction"],
)
def test_response_is_learned_apart_and_weights_train_nothing(loss: str, may_move: tuple[str, ...]) -> None:
    learner, batches = trained_by("easq", WEIGHTS)
    batch = late_batch(batches, "main" if loss == "response" else loss)
    named = {n if n == "table" else f"dense.{n}" for n in moved_by(learner, batch, loss)}
    assert named == all_parameters(learner, may_move)


def test_pairs_of_seldom_answered_views_count_more_in_the_satisfaction_loss() -> None:
    learner, batches = trained_by("easq", WEIGHTS)
    model, batch = learner.network, late_batch(batches, "satisfaction")
    assert isinstance(model, Easq)
    assert model.response is not None
    replayed = learner.buffer.sample(0, False, np.random.default_rng(0))
    questioned = answer_rows(batch, replayed, 3, EasqSettings().answer_use)
    x = learner.pooling(learner.table.touch(batch.rows), torch.from_numpy(batch.rows.request_N))
    weight = pair_weights(model.response, x, questioned, 1e-5)
    assert weight.mean().item() == pytest.approx(1, abs=1e-5)
    chance = model.response(x.select(torch.from_numpy(questioned.row_Q))).sigmoid().detach()
    together = weight * chance[questioned.better_P] * chance[questioned.worse_P]
    torch.testing.assert_close(together, together.mean().expand(len(weight)))
    assert weight.std() > 1e-3
