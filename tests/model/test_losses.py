import math

import pytest
import torch

from easq.model.losses import dpo_loss, main_loss, satisfaction_loss

NAN = float("nan")


def minus_log_sigmoid(x: float) -> float:
    return math.log(1 + math.exp(-x))


def test_main_loss_is_the_mean_over_ordered_pairs_of_one_request() -> None:
    """Request 1 holds levels 2, 1, 0: pairs (0,1), (0,2), (1,2). Request 2 has one row: no pair.

    L = [f(y0 - y1) + f(y0 - y2) + f(y1 - y2)] / 3 with f(x) = log(1 + exp(-x)).
    """
    score = torch.tensor([[1.0, 0.5, 0.0], [9.0, 0.0, 0.0]])
    level = torch.tensor([[2.0, 1.0, 0.0], [1.0, NAN, NAN]])
    loss, _, pairs = main_loss(score, level)
    by_hand = (minus_log_sigmoid(0.5) + minus_log_sigmoid(1.0) + minus_log_sigmoid(0.5)) / 3
    assert int(pairs.sum()) == 3
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)


def test_main_loss_without_a_pair_is_zero() -> None:
    assert main_loss(torch.ones(2, 3), torch.zeros(2, 3))[0].item() == 0


def test_satisfaction_loss_is_bradley_terry() -> None:
    loss, margin = satisfaction_loss(torch.tensor([2.0, 1.0]), torch.tensor([0.5, 3.0]))
    assert margin.tolist() == [1.5, -2.0]
    assert loss.item() == pytest.approx((minus_log_sigmoid(1.5) + minus_log_sigmoid(-2.0)) / 2, rel=1e-6)


def test_dpo_loss_measures_the_served_ratio_against_the_experts() -> None:
    """One pair: log y+ - log y- = log 4, log s+ - log s- = log 2, so the margin is beta log 2.

    L = -log sigmoid(beta log 2) = log(1 + 2 ** -beta).
    """
    served = torch.tensor([2.0, 0.5])
    expert = torch.tensor([1.0, 0.5], requires_grad=True)
    loss, margin = dpo_loss(served[:1], served[1:], expert[:1], expert[1:], beta=3.0)
    assert margin.item() == pytest.approx(3 * math.log(2), rel=1e-6)
    assert loss.item() == pytest.approx(math.log(1 + 2**-3), rel=1e-6)


def test_a_pair_counts_by_its_weight_and_the_sum_is_still_divided_by_the_pairs() -> None:
    """Margins 2 and 0 with weights 1/2 and 1: (log(1 + e^-2) / 2 + log 2) / 2."""
    better, worse = torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0])
    loss, _ = satisfaction_loss(better, worse, torch.tensor([0.5, 1.0]))
    assert loss.item() == pytest.approx((math.log(1 + math.exp(-2)) / 2 + math.log(2)) / 2, rel=1e-6)
    doubtful, _ = dpo_loss(better, worse, worse, better, 1.0, torch.tensor([0.0, 0.0]))
    assert doubtful.item() == 0


def test_dpo_never_trains_its_reference() -> None:
    expert = torch.tensor([1.0, 0.5], requires_grad=True)
    served = torch.tensor([2.0, 0.5], requires_grad=True)
    dpo_loss(served[:1], served[1:], expert[:1], expert[1:], beta=1.0)[0].backward()
    assert expert.grad is None
    assert served.grad is not None


@pytest.mark.parametrize("value", [0.0, 1e-40, 1e30])
def test_losses_stay_finite_at_the_edges(value: float) -> None:
    served = torch.tensor([value, 1.0], requires_grad=True)
    loss, _ = dpo_loss(served[:1], served[1:], served[1:], served[:1], beta=1.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert served.grad is not None
    assert torch.isfinite(served.grad).all()


def test_empty_pairs_give_zero() -> None:
    none = torch.zeros(0)
    assert satisfaction_loss(none, none)[0].item() == 0
    assert dpo_loss(none, none, none, none, 1.0)[0].item() == 0


def test_half_precision_scores_are_compared_in_full_precision() -> None:
    loss, _ = satisfaction_loss(torch.tensor([2.0]).half(), torch.tensor([1.0]).half())
    assert loss.dtype == torch.float32
