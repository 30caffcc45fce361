import math

import pytest
import torch

from easq.model.losses import answer_loss, estimated_answers, gap_loss


def test_ranker_learns_pairs_by_how_far_apart_they_are_believed() -> None:
    """Request 1 believes .9, .5: one pair of weight .4; request 2 has one row; request 3 is a tie.

    L = .4 log(1 + exp(-(y0 - y1))) / .4 with y0 - y1 = -1.
    """
    score = torch.tensor([1.0, 2.0, 9.0, 0.0, 5.0])
    estimate = torch.tensor([0.9, 0.5, 1.0, 0.3, 0.3])
    request = torch.tensor([0, 0, 1, 2, 2])
    assert gap_loss(score, estimate, request).item() == pytest.approx(math.log(1 + math.e))
    assert gap_loss(score[:0], estimate[:0], request[:0]).item() == 0


def test_answers_are_learned_between_the_worst_and_the_best_option() -> None:
    logit = torch.tensor([0.0, 2.0])
    by_hand = (math.log(2) + math.log(1 + math.exp(-2.0))) / 2
    assert answer_loss(logit, torch.tensor([0.5, 1.0])).item() == pytest.approx(by_hand)
    assert answer_loss(logit[:0], logit[:0]).item() == 0


def test_an_answer_replaces_the_prediction() -> None:
    answer = torch.tensor([-1, 0, 2])
    estimate = estimated_answers(torch.tensor([0.5, 0.9, 0.9]), answer, torch.ones(3), 2)
    assert estimate.tolist() == [0.5, 0.0, 1.0]


def test_a_doubtful_answer_is_mixed_with_the_prediction() -> None:
    answer, weight = torch.tensor([-1, 0, 2, 2]), torch.tensor([1.0, 0.25, 0.5, 0.0])
    estimate = estimated_answers(torch.tensor([0.5, 0.8, 0.8, 0.8]), answer, weight, 2)
    torch.testing.assert_close(estimate, torch.tensor([0.5, 0.6, 0.9, 0.8]))


def test_answers_are_learned_by_their_weight() -> None:
    """Logits of 0 lose log 2 each; weights .5 and 0 leave a quarter of two."""
    loss = answer_loss(torch.zeros(2), torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.0]))
    assert loss.item() == pytest.approx(math.log(2) / 4)
