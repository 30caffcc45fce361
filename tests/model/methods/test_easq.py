import pytest

from easq.learn.build import build_encoder, build_learner
from easq.model.methods.easq import Easq
from tests.learn.test_learner import all_parameters, late_batch
from tests.support.continued import assert_continues
from tests.support.method_learners import learner_of, moved_by, trained_by
from tests.support.small_worlds import small_recipe

TOLERANCE = "method.pair_accuracy_budget=0.02"


def factor_after(epochs: int, *overrides: str) -> float:
    learner, batches = learner_of("easq", TOLERANCE, *overrides)
    for _ in range(epochs):
        for batch in batches:
            learner.step(batch)
    assert isinstance(learner.network, Easq)
    assert learner.network.price is not None
    return learner.network.price.factor.item()


def test_reference_learns_behavior_and_moves_itself_alone() -> None:
    learner, batches = trained_by("easq", TOLERANCE)
    named = {f"dense.{n}" for n in moved_by(learner, late_batch(batches, "main"), "reference")}
    assert named == all_parameters(learner, ("dense.model.reference",))


def test_pull_that_costs_too_much_is_let_down() -> None:
    assert factor_after(8, "method.dpo_weight=300.0") < 0.9


def test_without_a_tolerance_there_is_neither_reference_nor_price() -> None:
    learner, _ = learner_of("easq")
    assert not any(name.startswith(("model.reference", "model.price")) for name in learner.dense.state_dict())


@pytest.mark.parametrize(
    "switch", [TOLERANCE, "method.propensity_weights=true", "method.satisfaction_variance=true"]
)
def test_state_of_parts_beyond_the_paper_continues_bit_for_bit(switch: str) -> None:
    first, batches = trained_by("easq", switch)
    recipe = small_recipe("training.embedding_scale=0.3", switch)
    second = build_learner(recipe, build_encoder(recipe))
    assert_continues(first, second, batches[:3])
