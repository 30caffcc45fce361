import math

import pytest
import torch

from easq.model.methods.emer import Emer, dcg, predicted_orders
from tests.support.method_learners import learner_of

NAN = float("nan")


def test_dcg_discounts_by_place_and_stops_at_the_top() -> None:
    """Request 1 has the gains 3, 1, 2 by score: DCG@2 = 3 + 1 / log2(3). Request 2 has one row, 5."""
    score = torch.tensor([[0.1, 0.9, 0.5], [0.2, 9.0, 9.0]])
    gain = torch.tensor([[2.0, 3.0, 1.0], [5.0, NAN, NAN]]).unsqueeze(2)
    assert dcg(score, gain, 2).item() == pytest.approx((3 + 1 / math.log2(3) + 5) / 2)


def test_interactions_are_ordered_by_their_share_of_watching() -> None:
    logit = torch.logit(torch.tensor([[0.5, 0.25], [0.8, 0.32], [1e-3, 0.5]]))
    plain = predicted_orders(logit, [0, 1], None)
    torch.testing.assert_close(plain, logit.sigmoid())
    shares = predicted_orders(logit, [0, 1], watch=0)
    torch.testing.assert_close(shares, torch.tensor([[0.5, 0.5], [0.8, 0.4], [1e-3, 10.0]]))


def test_serving_ranker_follows_at_its_intervals() -> None:
    learner, batches = learner_of("emer", "method.serving_steps=3")
    model = learner.network
    assert isinstance(model, Emer)

    def is_behind() -> bool:
        pairs = zip(model.ranker.parameters(), model.serving.parameters(), strict=True)
        return any(not torch.equal(now, then) for now, then in pairs)

    behind = []
    for batch in batches[:6]:
        learner.step(batch)
        behind.append(is_behind())
    assert behind == [True, True, False, True, True, False]
