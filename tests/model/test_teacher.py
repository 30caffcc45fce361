import numpy as np
import pytest
import torch

from easq.errors import SettingsError
from easq.learn.build import build_encoder, build_learner
from easq.model.methods.easq import Easq
from tests.learn.test_learner import MAIN, SATISFACTION, all_parameters, late_batch
from tests.support.continued import assert_continues
from tests.support.method_learners import learner_of, moved_by, trained_by
from tests.support.small_worlds import small_recipe

TEACHER = "method.teacher=true"


@pytest.mark.parametrize(
    ("loss", "may_move"),
    [
        ("teacher", ("dense.model.teacher",)),
        ("taught_satisfaction", SATISFACTION),
        ("taught_dpo", MAIN),
        ("satisfaction", SATISFACTION),
        ("main", MAIN),
    ],
    ids=str,
)
def test_teacher_loss_trains_the_teacher_and_its_labels_train_like_answers(
    loss: str, may_move: tuple[str, ...]
) -> None:
    learner, batches = trained_by("easq", TEACHER)
    batch = late_batch(batches, "satisfaction" if loss == "satisfaction" else "main")
    moved = moved_by(learner, batch, loss)
    named = {name if name == "table" else f"dense.{name}" for name in moved}
    assert named == all_parameters(learner, may_move)


def test_teacher_sees_the_behavior_and_is_not_served() -> None:
    learner, batches = trained_by("easq", TEACHER)
    model, batch = learner.network, batches[-1]
    assert isinstance(model, Easq)
    assert model.teacher is not None
    before = learner.score(batch)
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(1.0)
    np.testing.assert_array_equal(learner.score(batch), before)
    assert not any("teacher" in name for name, _ in model.merged().named_parameters())


def test_unasked_views_teach_the_satisfaction_experts() -> None:
    """With one told view and no weight on the teaching nothing differs; with weight the experts do."""
    plain, batches = learner_of("easq", TEACHER, "method.teacher_weight=0.0")
    taught, _ = learner_of("easq", TEACHER)
    for batch in batches:
        plain.step(batch)
        losses = taught.step(batch).losses
        assert {"teacher", "taught_satisfaction", "taught_dpo"} <= losses.keys()
    assert isinstance(plain.network, Easq)
    assert isinstance(taught.network, Easq)
    for side in ("satisfaction", "main", "low_rank"):
        first, second = plain.network.get_submodule(side), taught.network.get_submodule(side)
        pairs = zip(first.parameters(), second.parameters(), strict=True)
        assert any(not torch.equal(a, b) for a, b in pairs), side


def test_state_with_labelled_views_continues_bit_for_bit() -> None:
    first, batches = trained_by("easq", TEACHER)
    recipe = small_recipe("training.embedding_scale=0.3", TEACHER)
    second = build_learner(recipe, build_encoder(recipe))
    a = assert_continues(first, second, batches[:3])
    assert len(a["labelled:user_A"]) > 10


def test_other_methods_refuse_a_teacher() -> None:
    with pytest.raises(SettingsError, match="teacher: unknown key; allowed: expert_width, "):
        learner_of("mmoe", TEACHER)
