import math

import pytest
import torch

from easq.model.methods.saqrec import pseudo_labels, quantile_buckets, weighted_answers


def test_answers_count_by_the_inverse_of_their_chance_down_to_a_floor() -> None:
    """Both logits are 0, so each loss is log 2; over .5 and over the floor .05: (2 + 20) / 2 log 2."""
    answers = (torch.zeros(2), torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.001]))
    loss = weighted_answers(*answers, torch.ones(2))
    assert loss.item() == pytest.approx(11 * math.log(2), rel=1e-5)
    doubtful = weighted_answers(*answers, torch.tensor([0.5, 0.1]))
    assert doubtful.item() == pytest.approx(1.5 * math.log(2), rel=1e-5)
    assert weighted_answers(*torch.zeros(4, 0)).item() == 0


def test_pseudo_labels_go_from_the_teacher_to_the_student_as_they_differ() -> None:
    """The first differs least, its label is the teacher's; the last differs most and is the student's."""
    student, teacher = torch.tensor([0.0, 1.0, 4.0]), torch.zeros(3)
    labels = pseudo_labels(student, teacher)
    loss = [math.log(1 + math.exp(s)) - 0.5 * s for s in student.tolist()]
    middle = 2 / math.pi * math.asin(math.sqrt((loss[1] - loss[0]) / (loss[2] - loss[0])))
    by_hand = [0.5, middle / (1 + math.exp(-1)) + (1 - middle) * 0.5, 1 / (1 + math.exp(-4))]
    torch.testing.assert_close(labels, torch.tensor(by_hand))


def test_buckets_are_even_within_a_history_whatever_the_scores_are() -> None:
    seen = torch.tensor([[0.9, 0.1, 0.5, 0.7], [5.0, 3.0, 0.0, 0.0], [0.0] * 4])
    padding = torch.tensor([[False] * 4, [False, False, True, True], [True] * 4])
    buckets = quantile_buckets(seen, padding, 4)
    assert buckets.tolist() == [[3, 0, 1, 2], [3, 1, -1, -1], [-1] * 4]
