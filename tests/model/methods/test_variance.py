import math

import numpy as np
import pytest
import torch

from easq.learn.answer_rows import answer_rows
from easq.model.losses import normal_loss
from easq.model.methods.easq import Easq, EasqSettings, easq_losses
from tests.learn.test_learner import SATISFACTION, all_parameters, late_batch
from tests.support.method_learners import moved_by, trained_by

VARIANCE = "method.satisfaction_variance=true"


def test_normal_loss_is_minus_log_of_phi() -> None:
    """One pair: margin (3 - 1) / sqrt(4) = 1 and Phi(1) = (1 + erf(1 / sqrt 2)) / 2."""
    loss, margin = normal_loss(torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([4.0]))
    assert margin.item() == 1
    assert loss.item() == pytest.approx(-math.log((1 + math.erf(math.sqrt(0.5))) / 2), rel=1e-6)
    far, _ = normal_loss(torch.tensor([0.0]), torch.tensor([60.0]), torch.tensor([1.0]))
    assert math.isfinite(far.item())


def test_answers_train_the_variance_too() -> None:
    learner, batches = trained_by("easq", VARIANCE)
    moved = moved_by(learner, late_batch(batches, "satisfaction"), "satisfaction")
    may = all_parameters(learner, (*SATISFACTION, "dense.model.variance"))
    assert {f"dense.{name}" for name in moved} == may


def test_weights_of_a_pair_multiply() -> None:
    """All answers weigh 1/2, so pairs 1/4; those of L_satis are weighed by 3 for non-response besides."""
    learner, batches = trained_by("easq", VARIANCE)
    model, batch = learner.network, late_batch(batches, "satisfaction")
    use = EasqSettings().answer_use
    replayed = learner.buffer.sample(0, False, np.random.default_rng(0))
    x = learner.pooling(learner.table.touch(batch.rows), torch.from_numpy(batch.rows.request_N))
    whole, half = (
        answer_rows(batch, replayed, 3, use, bounded_A=np.full(len(batch.option_A), weight, np.float32))
        for weight in (1, 0.5)
    )
    scores = model(x, torch.from_numpy(whole.row_Q))
    plain = easq_losses(scores, batch, whole)
    weighed = easq_losses(scores, batch, half, response_P=torch.full((len(half.weight_P),), 3.0))
    assert plain.satisfaction is not None
    assert plain.dpo is not None
    assert weighed.satisfaction is not None
    assert weighed.dpo is not None
    assert plain.dpo > 0
    assert weighed.satisfaction.item() == pytest.approx(0.75 * plain.satisfaction.item(), rel=1e-5)
    assert weighed.dpo.item() == pytest.approx(plain.dpo.item() / 4, rel=1e-5)


def test_pairs_of_which_the_experts_are_unsure_pull_less() -> None:
    learner, batches = trained_by("easq", VARIANCE)
    model, batch = learner.network, late_batch(batches, "satisfaction")
    assert isinstance(model, Easq)
    use = EasqSettings().answer_use
    replayed = learner.buffer.sample(0, False, np.random.default_rng(0))
    questioned = answer_rows(batch, replayed, 3, use)
    x = learner.pooling(learner.table.touch(batch.rows), torch.from_numpy(batch.rows.request_N))
    scores = model(x, torch.from_numpy(questioned.row_Q))
    assert scores.variance_A is not None
    unsure = scores._replace(variance_A=scores.variance_A * 100)
    sure, doubtful = (easq_losses(s, batch, questioned).dpo for s in (scores, unsure))
    assert sure is not None
    assert doubtful is not None
    assert 0 < doubtful < sure / 2
