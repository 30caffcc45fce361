"""The probe of November 2026: what answers cannot move, what the price bounds, what the prior holds back."""

import numpy as np
import pytest
import torch

from tests.support.method_learners import all_scores, learner_of, moved_by

SHARE = "method.max_share=1.0"


@pytest.mark.parametrize("probe_dim", [0, 8])
def test_behavior_score_is_that_of_the_behavior_only_model(probe_dim: int) -> None:
    probe, batches = learner_of(
        "probe_2026_11", SHARE, "training.gradient_clip=0", f"method.probe_dim={probe_dim}"
    )
    alone, _ = learner_of("behavior_2026_11", "training.gradient_clip=0")
    for batch in batches[:-1]:
        probe.step(batch)
        alone.step(batch)
    behavior_N = all_scores(probe, batches[-1]).behavior_N
    assert behavior_N is not None
    np.testing.assert_allclose(behavior_N.numpy(), alone.score(batches[-1]), rtol=1e-4, atol=1e-5)
    assert not np.allclose(probe.score(batches[-1]), alone.score(batches[-1]), rtol=1e-3)


def test_own_embeddings_learn_from_behaviors_and_never_from_answers() -> None:
    ridges = [
        learner_of("probe_2026_11", SHARE, "method.probe_dim=8", f"method.ridge={r}") for r in (0.0, 1e4)
    ]
    tables = []
    for learner, batches in ridges:
        dim = learner.pooling.parts[0].width
        before = learner.table.weight.clone()
        for batch in batches:
            learner.step(batch)
        moved = (learner.table.weight != before).any(0)
        assert moved[dim:].all()
        assert learner.table.squares.shape[1] == 2
        tables.append(learner.table.weight)
    # Probes that differ have left everything else alike.
    assert not torch.equal(ridges[0][0].network.probe.weight, ridges[1][0].network.probe.weight)
    torch.testing.assert_close(*tables)


def test_each_loss_trains_parts_of_its_own() -> None:
    learner, batches = learner_of("probe_2026_11", SHARE, "method.probe_dim=8")
    answered = next(batch for batch in batches if len(batch.option_A))
    learner.step(answered)  # the first weights of a probe are zero and so is what its prior moves
    result = {name: moved_by(learner, answered, name) for name in ("main", "heads", "satisfaction", "prior")}
    assert {name.partition(".")[0] for name in result["satisfaction"] | result["prior"]} == {"model"}
    assert all(name.startswith("model.probe.") for name in result["satisfaction"] | result["prior"])
    assert all(
        name == "table" or name.startswith(("pooling.first.", "model.behavior.")) for name in result["main"]
    )
    assert all(
        name == "table" or name.startswith(("pooling.beside.", "model.heads.")) for name in result["heads"]
    )
    assert "table" in result["main"] & result["heads"]


def test_served_is_behavior_plus_the_share_of_the_logit() -> None:
    learner, batches = learner_of("probe_2026_11", "method.max_share=0.25")
    for batch in batches[:-1]:
        learner.step(batch)
    result = all_scores(learner, batches[-1])
    assert result.behavior_N is not None
    assert result.satisfaction_A is not None
    assert result.satisfaction_A.std() > 0
    torch.testing.assert_close(result.served_N, result.behavior_N + 0.25 * result.satisfaction_A)


def test_a_stronger_prior_gives_smaller_logits() -> None:
    spread = []
    for ridge in (0.0, 1e4):
        learner, batches = learner_of("probe_2026_11", SHARE, f"method.ridge={ridge}")
        for batch in batches:
            learner.step(batch)
        spread.append(float(learner.network.probe.weight.detach().abs().sum()))
    assert spread[1] < 0.2 * spread[0]


@pytest.mark.parametrize("tolerance", [0.01, 0.3])
def test_price_spends_no_more_behavior_than_is_tolerated(tolerance: float) -> None:
    learner, batches = learner_of("probe_2026_11", SHARE, f"method.behavior_budget={tolerance}")
    price = learner.network.price
    for _ in range(4):
        for batch in batches:
            learner.step(batch)
    served, reference = (price.sums / price.count).tolist()
    assert 0 < float(price.factor) <= 1
    assert (reference - served) / reference < tolerance + 0.03


@pytest.mark.parametrize(("share", "first"), [(0.5, 0.5), (1.0, 1.0), (4.0, 1.0)])
def test_a_high_cap_of_the_share_is_not_where_it_begins(share: float, first: float) -> None:
    settings = f"method.max_share={share}", "method.behavior_budget=0.01"
    learner, _ = learner_of("probe_2026_11", *settings)
    assert share * float(learner.network.price.factor) == pytest.approx(first)
