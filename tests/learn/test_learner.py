"""Who may move what, and that served, merged and training scores are one."""

import dataclasses
from collections.abc import Iterable

import numpy as np
import pytest
import torch

from easq.features.batch import Batch, Batcher, make_batch
from easq.features.join import build_joiner
from easq.home.snapshots import copy_state, flatten
from easq.learn.answer_rows import answer_rows
from easq.learn.build import build_encoder, build_learner
from easq.learn.learner import Learner, NonFiniteLossError
from easq.log.events import Event
from easq.model import losses as losses_of
from easq.model.methods import easq
from easq.model.methods.easq import Easq, EasqSettings, easq_losses
from easq.recipe.recipe import Recipe
from tests.support.continued import assert_continues
from tests.support.small_worlds import small_recipe, world_events

MAIN = ("table", "dense.pooling", "dense.model.backbone", "dense.model.main")
SATISFACTION = ("dense.model.low_rank", "dense.model.satisfaction")


def learned_from(recipe: Recipe, events: Iterable[Event]) -> tuple[Learner, list[Batch]]:
    """Return a new learner of a recipe, and the batches that a log gives it."""
    encoder, join = build_encoder(recipe), build_joiner(recipe)
    batcher = Batcher(recipe.training.batch_rows, recipe.training.batch_answers)
    for event in events:
        batcher.add(join.push(event))
    batcher.add(join.flush())
    batches = []
    while cut := batcher.cut() or batcher.cut(final=True):
        batches.append(make_batch(encoder, recipe.behaviors, recipe.order.cap, cut))
    return build_learner(recipe, encoder), batches


def steps_of(recipe: Recipe, num_requests: int = 120) -> tuple[Learner, list[Batch]]:
    return learned_from(recipe, world_events(num_requests))


def trained(*overrides: str) -> tuple[Learner, list[Batch]]:
    """Train a little, so that the low-rank path is no longer zero and every gate has moved."""
    learner, batches = steps_of(
        small_recipe("training.embedding_scale=0.3", "training.batch_answers=40", *overrides)
    )
    for batch in batches[:-1]:
        learner.step(batch)
    return learner, batches


def late_batch(batches: list[Batch], loss: str) -> Batch:
    """Return a batch whose viewers have a history, with views or with answers as the loss needs."""
    if loss in ("main", "predicted_orders", "upstream", "imputed", "base", "propensity", "pseudo"):
        return [b for b in batches if b.num_viewed][-2]
    return [b for b in batches if len(b.option_A) > 20][-1]


def moved_by(learner: Learner, batch: Batch, name: str) -> set[str]:
    """Return the parameters with a gradient other than zero, bit for bit, under one loss alone."""
    replayed = learner.buffer.sample(0, False, np.random.default_rng(0))
    pairs = answer_rows(batch, replayed, 3, EasqSettings().answer_use)
    touched = learner.table.touch(batch.rows)
    x = learner.pooling(touched, torch.from_numpy(batch.rows.request_N))
    scores = learner.network(x, torch.from_numpy(pairs.row_Q))
    loss = getattr(easq_losses(scores, batch, pairs), name)
    learner.dense.zero_grad(set_to_none=True)
    loss.backward()
    moved = {f"dense.{n}" for n, p in learner.dense.named_parameters() if p.grad is not None and p.grad.any()}
    if touched.value_UE.grad is not None and touched.value_UE.grad.any():
        moved.add("table")
    return moved


def all_parameters(learner: Learner, under: tuple[str, ...]) -> set[str]:
    names = {"table"} | {f"dense.{n}" for n, _ in learner.dense.named_parameters()}
    return {n for n in names if n.startswith(under)}


@pytest.mark.parametrize(
    ("loss", "may_move"),
    [("main", MAIN), ("satisfaction", SATISFACTION), ("dpo", MAIN)],
    ids=str,
)
def test_each_loss_moves_its_own_parameters_and_no_other(loss: str, may_move: tuple[str, ...]) -> None:
    learner, batches = trained()
    assert moved_by(learner, late_batch(batches, loss), loss) == all_parameters(learner, may_move)


def test_answers_may_move_embeddings_only_when_the_setting_says_so() -> None:
    learner, batches = trained("method.answers_move_embeddings=true")
    moved = moved_by(learner, late_batch(batches, "satisfaction"), "satisfaction")
    pooling_and_table = all_parameters(learner, ("table", "dense.pooling"))
    assert moved == all_parameters(learner, SATISFACTION) | pooling_and_table


def test_served_merged_and_training_scores_are_one() -> None:
    learner, batches = trained()
    batch, model = batches[-1], learner.network
    assert isinstance(model, Easq)
    assert model.low_rank is not None
    assert model.low_rank.product().abs().max() > 1e-4
    served = learner.score(batch)
    with torch.no_grad():
        touched = learner.table.touch(batch.rows)
        merged = model.merged()(learner.pooling(touched, torch.from_numpy(batch.rows.request_N))).numpy()
    np.testing.assert_allclose(merged, served, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(learner.step(batch).served_N, served, rtol=1e-5, atol=1e-6)


def test_new_low_rank_path_leaves_the_backbone_alone() -> None:
    learner, batches = steps_of(small_recipe())
    model = learner.network
    assert isinstance(model, Easq)
    assert model.low_rank is not None
    assert not model.low_rank.product().any()
    assert torch.equal(model.merged().weight, model.backbone.weight)
    assert len(batches) > 2


def test_score_of_a_request_does_not_depend_on_its_batch_mates() -> None:
    recipe = small_recipe("training.batch_rows=300")
    encoder, join = build_encoder(recipe), build_joiner(recipe)
    examples = [x for e in world_events(20) for x in join.push(e)] + join.flush()
    learner = build_learner(recipe, encoder)
    whole = make_batch(encoder, recipe.behaviors, 2.0, examples)
    scores = learner.score(whole)
    for example in examples[:10]:
        alone = make_batch(encoder, recipe.behaviors, 2.0, [example])
        number = whole.request_ids.index(alone.request_ids[0])
        together = scores[whole.rows.request_N == number]
        np.testing.assert_allclose(learner.score(alone), together, rtol=1e-5, atol=1e-6)


def test_step_scores_before_it_learns() -> None:
    learner, batches = trained()
    before = learner.score(batches[-1])
    step = learner.step(batches[-1])
    np.testing.assert_allclose(step.served_N, before, rtol=1e-5, atol=1e-6)
    assert np.abs(learner.score(batches[-1]) - before).max() > 1e-4


def test_non_finite_loss_raises_before_anything_moves() -> None:
    learner, batches = trained()
    before = flatten(copy_state(learner.state()))
    with torch.no_grad():
        learner.network.main.head.layers[-1].bias.fill_(float("nan"))  # type: ignore[union-attr, index]
    before["dense:model.main.head.layers.3.bias"] = np.array([np.nan], np.float32)
    with pytest.raises(NonFiniteLossError, match="nothing was changed"):
        learner.step(batches[-1])
    after = flatten(learner.state())
    for name in before.keys() - {"random"}:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)


@pytest.mark.parametrize(
    "override",
    [
        "order.scope=viewer",
        "order.scope=batch",
        "method.scope=user",
        "method.scope=batch",
        "method.unasked=request",
        "method.unasked=distill",
        "answers.uncertain=drop",
        "answers.buffer=0",
        "model.head_width=0",
        "method.lora_init=normal",
        "method.kind=behavior",
        "method.rank=0",
        "method.routing=softmax_top_k",
        "method.routing=none",
        "method.satisfaction_variance=true",
        "method.propensity_weights=true",
    ],
)
def test_every_variant_learns(override: str) -> None:
    learner, batches = steps_of(small_recipe(override))
    before = learner.score(batches[0])
    for batch in batches:
        assert all(np.isfinite(value) for value in learner.step(batch).losses.values())
    assert np.abs(learner.score(batches[0]) - before).max() > 1e-3


def test_variants_of_d_plus_see_different_pairs() -> None:
    _, batches = trained()
    batch = next(b for b in batches if len(set(b.option_A.tolist())) == 3)
    nothing = trained("answers.buffer=0")[0].buffer.sample(0, False, np.random.default_rng(0))
    pairs = {}
    for name, value in (("scope", "batch"), ("scope", "user"), ("unasked", "request"), ("uncertain", "drop")):
        use, drops = EasqSettings().answer_use, name == "uncertain"
        if not drops:
            use = EasqSettings(**{name: value}).answer_use
        result = answer_rows(batch, nothing, 3, use, drops_uncertain=drops)
        pairs[value] = set(zip(result.better_P.tolist(), result.worse_P.tolist(), strict=True))
    assert pairs["user"] < pairs["batch"]
    assert pairs["drop"] != pairs["request"]
    listed = answer_rows(batch, nothing, 3, EasqSettings(unasked="request").answer_use)
    unasked = set(listed.row_Q.tolist()) - set(batch.answer_row_A.tolist())
    assert {listed.row_Q[i] for i in (*listed.better_P, *listed.worse_P)} & unasked


def test_state_round_trip_continues_bit_for_bit() -> None:
    first, batches = trained()
    second = build_learner(small_recipe("training.embedding_scale=0.3"), build_encoder(small_recipe()))
    assert_continues(first, second, batches[:3])


def test_weights_of_one_train_to_the_same_bytes_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, _ = trained()
    monkeypatch.setattr(easq, "satisfaction_loss", lambda b, w, _: losses_of.satisfaction_loss(b, w))
    monkeypatch.setattr(easq, "dpo_loss", lambda *rows: losses_of.dpo_loss(*rows[:5]))
    other, _ = trained("answers.viewer_weight=0")
    a, b = flatten(learner.state()), flatten(other.state())
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)


def test_an_answer_without_weight_is_as_if_it_had_not_been_given() -> None:
    """In one pair of two rows the weights multiply; of L_satis and L_dpo only weighted pairs are left."""
    learner, batches = trained()
    batch = late_batch(batches, "satisfaction")
    nothing = learner.buffer.sample(0, False, np.random.default_rng(0))
    use = EasqSettings(scope="batch", unasked="request").answer_use
    weight_A = np.linspace(0, 1, len(batch.option_A), dtype=np.float32)
    result = answer_rows(dataclasses.replace(batch, weight_A=weight_A), nothing, 3, use)
    weight_of = dict(zip((batch.answer_row_A - batch.num_viewed).tolist(), weight_A.tolist(), strict=True))
    expected = [
        weight_of.get(b, 1.0) * weight_of.get(w, 1.0)
        for b, w in zip(result.better_P.tolist(), result.worse_P.tolist(), strict=True)
    ]
    np.testing.assert_allclose(result.weight_P, expected, rtol=1e-6)
    assert 0 < (result.weight_P == 0).sum() < len(expected)


def test_behavior_only_learns_the_same_whatever_is_answered() -> None:
    learner, batches = steps_of(small_recipe("method.kind=behavior"))
    other, _ = steps_of(small_recipe("method.kind=behavior"))
    for batch in batches:
        flipped = dataclasses.replace(batch, option_A=2 - batch.option_A)
        np.testing.assert_array_equal(learner.step(batch).served_N, other.step(flipped).served_N)
