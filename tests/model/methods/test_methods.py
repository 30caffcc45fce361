"""What holds for every method: who may move what, resuming, serving, and that it learns."""

import dataclasses

import numpy as np
import pytest
import torch

from easq.features.batch import Batch, make_batch
from easq.features.examples import AnsweredView, Viewed
from easq.features.join import build_joiner
from easq.home.snapshots import flatten
from easq.learn.build import build_encoder, build_learner
from easq.learn.learner import Learner
from easq.model.method import methods
from easq.model.pairwise_accuracy import pairs_right
from tests.support.continued import assert_continues
from tests.support.method_learners import learner_of, moved_by, read_by, trained_by
from tests.support.small_worlds import small_recipe, world_events

METHODS = tuple(methods())
SERVES_ANSWERS = (
    *("emer_s", "emer_s_head", "imputation", "imputation_privileged", "mmoe", "ple", "shared_bottom"),
)
"""Methods whose served score follows the answers in so little training."""
LOSSES = [(kind, loss) for kind, settings in methods().items() for loss in settings.gradient_map]


@pytest.mark.parametrize("method", METHODS)
def test_the_gradient_map_names_every_loss(method: str) -> None:
    learner, batches = learner_of(method)
    losses = {name for batch in batches[:6] for name in learner.step(batch).losses}
    assert losses == set(methods()[method].gradient_map)


@pytest.mark.parametrize(("method", "loss"), LOSSES, ids=str)
def test_each_loss_moves_its_own_parameters_and_no_other(method: str, loss: str) -> None:
    learner, batches = trained_by(method)
    moves = methods()[method].gradient_map[loss]
    names = {"table", *(name for name, _ in learner.dense.named_parameters())}
    expected = {n for n in names if n.startswith(moves.parts) and not n.startswith(moves.but_not or "-")}
    # Of views and of answers, and of viewers who have a history by now.
    moved = [moved_by(learner, batch, loss) for batch in batches[-12:]]
    assert set().union(*moved) == expected


@pytest.mark.parametrize("method", METHODS)
def test_answers_are_read_by_all_but_the_behavior_only_methods(method: str) -> None:
    learner, batches = learner_of(method)
    other, _ = learner_of(method)
    for batch in batches:
        flipped = dataclasses.replace(
            batch,
            option_A=2 - batch.option_A,
            answer_M=np.where(batch.answer_M < 0, batch.answer_M, 2 - batch.answer_M),
        )
        learner.step(batch)
        other.step(flipped)
    first, second = flatten(learner.state()), flatten(other.state())
    same = all(np.array_equal(first[n], second[n]) for n in first if not n.startswith("buffer:"))
    assert same == (not methods()[method]().reads_answers)


@pytest.mark.parametrize(
    ("method", "switches"),
    [
        *((method, ()) for method in METHODS),
        ("easq", ("method.satisfaction_variance=true", "method.propensity_weights=true")),
        ("easq", ("method.teacher=true", "method.unasked=request")),
    ],
    ids=str,
)
def test_answers_without_weight_train_nothing(method: str, switches: tuple[str, ...]) -> None:
    learner, batches = learner_of(method, *switches)
    other, _ = learner_of(method, *switches)
    for batch in batches:
        silent = dataclasses.replace(
            batch,
            weight_A=np.zeros_like(batch.weight_A),
            answer_weight_M=np.zeros_like(batch.answer_weight_M),
        )
        flipped = dataclasses.replace(
            silent,
            option_A=2 - batch.option_A,
            answer_M=np.where(batch.answer_M < 0, batch.answer_M, 2 - batch.answer_M),
        )
        learner.step(silent)
        other.step(flipped)
    first, second = flatten(learner.state()), flatten(other.state())
    for name in first:
        if not name.startswith(("buffer:", "labelled:")):
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)


@pytest.mark.parametrize("method", METHODS)
def test_score_of_a_request_does_not_depend_on_its_batch_mates(method: str) -> None:
    recipe = small_recipe(f"method.kind={method}", *read_by(method, satisfaction_share=0.5))
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


@pytest.mark.parametrize("method", METHODS)
def test_served_and_training_scores_are_one(method: str) -> None:
    learner, batches = trained_by(method, *read_by(method, satisfaction_share=0.5))
    batch = batches[-1]
    served = learner.score(batch)
    with torch.no_grad():
        touched = learner.table.touch(batch.rows)
        x = learner.pooling(touched, torch.from_numpy(batch.rows.request_N))
        merged = learner.network.merged()(x).numpy()
    np.testing.assert_allclose(merged, served, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(learner.step(batch).served_N, served, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_state_round_trip_continues_bit_for_bit(method: str) -> None:
    first, batches = trained_by(method)
    recipe = small_recipe("training.embedding_scale=0.3", f"method.kind={method}")
    second = build_learner(recipe, build_encoder(recipe))
    assert_continues(first, second, batches[:3])


BEYOND = (
    "method.teacher=true",
    "method.propensity_weights=true",
    "method.satisfaction_variance=true",
    "method.pair_accuracy_budget=0.01",
)


@pytest.mark.parametrize("setting", [*(f"method.kind={m}" for m in METHODS), *BEYOND])
@pytest.mark.parametrize("buffer", [0, 64])
def test_steps_of_views_alone_and_of_answers_alone_are_learned(setting: str, buffer: int) -> None:
    recipe = small_recipe(setting, f"answers.buffer={buffer}")
    encoder, join = build_encoder(recipe), build_joiner(recipe)
    examples = [x for e in world_events(20) for x in join.push(e)] + join.flush()
    learner = build_learner(recipe, encoder)
    views = [x for x in examples if isinstance(x, Viewed)]
    answers = [x for x in examples if isinstance(x, AnsweredView)]
    for part in (views[:5], answers[:5], views[5:9], answers[:1], answers[5:]):
        step = learner.step(make_batch(encoder, recipe.behaviors, 2.0, part))
        assert all(np.isfinite(value) for value in step.losses.values())
        assert np.isfinite(step.served_N).all()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_the_order_of_behavior(method: str) -> None:
    learner, batches = learner_of(method)
    before = pair_accuracy([learner.score(batch) for batch in batches], batches)
    for _ in range(8):
        for batch in batches:
            assert all(np.isfinite(value) for value in learner.step(batch).losses.values())
    after = pair_accuracy([learner.score(batch) for batch in batches], batches)
    assert after > max(0.7, before + 0.15)


ANSWERED = [m for m in METHODS if methods()[m]().reads_answers]


@pytest.mark.parametrize("method", ANSWERED)
def test_every_method_that_reads_answers_learns_their_order(method: str) -> None:
    """Answers weigh twenty times as much; where little of them is served, the other head is asked."""
    settings = read_by(
        method, satisfaction_share=1.0, satisfaction_weight=20.0, ridge=0.001, prior_answers=1.0
    )
    learner, batches = learner_of(method, *settings, "training.learning_rate=0.01")
    for _ in range(8):
        for batch in batches:
            learner.step(batch)
    score = Learner.score if method in SERVES_ANSWERS else satisfaction
    assert answer_accuracy([score(learner, batch) for batch in batches], batches) > 0.7


@torch.no_grad()
def satisfaction(learner: Learner, batch: Batch) -> np.ndarray:
    request_N = torch.from_numpy(batch.rows.request_N)
    x = learner.pooling(learner.table.touch(batch.rows), request_N)
    return learner.network(x, torch.arange(len(request_N))).satisfaction_A.numpy()


def pair_accuracy(scores: list[np.ndarray], batches: list[Batch]) -> float:
    right = pairs = 0.0
    for score_N, batch in zip(scores, batches, strict=True):
        result = pairs_right(batch.rows.request_N[: batch.num_viewed], batch.level_M, score_N)
        right, pairs = right + result[0].sum(), pairs + result[1].sum()
    return right / pairs


def answer_accuracy(scores: list[np.ndarray], batches: list[Batch]) -> float:
    """Return how often the better of two answers has the higher score."""
    option = np.concatenate([b.option_A for b in batches])
    score = np.concatenate([s[b.answer_row_A] for s, b in zip(scores, batches, strict=True)])
    better, worse = np.nonzero(option[:, None] > option[None, :])
    return float((score[better] > score[worse]).mean())
