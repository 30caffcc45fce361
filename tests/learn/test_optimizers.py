"""The answer path's own Adam, and clipping by part."""

import numpy as np
import pytest
import torch
from torch import nn

from easq.home.snapshots import copy_state, flatten
from easq.learn.learner import NonFiniteLossError
from easq.learn.optimizers import DenseOptimizer
from easq.model.method import AnswerPath, Moves
from tests.support.method_learners import learner_of

MAP = {"main": Moves(("main",)), "satisfaction": Moves(("answers",))}


def two_parts() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict({"main": nn.Linear(3, 1), "answers": nn.Linear(3, 1)})


def optimizer_of(dense: nn.Module, rate: float = 0.01, clip: float = 0.0) -> DenseOptimizer:
    return DenseOptimizer(dense, MAP, AnswerPath(("answers",), rate), rate=0.1, clip=clip)


def backward(dense: nn.ModuleDict, answers: float) -> None:
    x = torch.ones(1, 3)
    (dense["main"](x).sum() + answers * dense["answers"](x).sum()).backward()


def test_the_answer_path_rests_where_there_is_no_gradient() -> None:
    dense = two_parts()
    optimizer = optimizer_of(dense)
    for answers in (1.0, 0.0, 0.0):
        optimizer.zero_grad()
        backward(dense, answers)
        before = {name: value.detach().clone() for name, value in dense.named_parameters()}
        optimizer.step()
        moved = {name for name, value in dense.named_parameters() if not torch.equal(value, before[name])}
        expected = {"main.weight", "main.bias"} | ({"answers.weight", "answers.bias"} if answers else set())
        assert moved == expected


def test_each_part_is_clipped_by_its_own_norm() -> None:
    dense = two_parts()
    optimizer = optimizer_of(dense, clip=5.0)
    backward(dense, 1000.0)
    norm = optimizer.step()
    assert norm == pytest.approx(2000.0, rel=1e-3)
    main, answers = (
        torch.cat([p.grad.flatten() for p in dense[n].parameters()]) for n in ("main", "answers")
    )
    assert main.norm() == pytest.approx(2.0)
    assert answers.norm() == pytest.approx(5.0, rel=1e-3)


def test_both_moments_continue() -> None:
    dense = two_parts()
    optimizer = optimizer_of(dense)
    backward(dense, 1.0)
    optimizer.step()
    state = copy_state(optimizer.state())
    assert set(state) == {"adam", "answer_adam"}
    other = optimizer_of(dense)
    other.restore(state)
    for name in ("adam", "answer_adam"):
        for number, moments in other.state()[name].items():
            for part, values in moments.items():
                np.testing.assert_array_equal(values, state[name][number][part])


def test_easq_moves_its_answer_path_only_in_steps_with_pairs() -> None:
    learner, batches = learner_of(
        "easq", "method.answers_per_step=12", "answers.buffer=0", "method.scope=batch"
    )
    path = [p for n, p in learner.dense.named_parameters() if "low_rank" in n or "satisfaction" in n]
    moved = []
    for batch in 3 * batches:
        before = [p.detach().clone() for p in path]
        losses = learner.step(batch).losses
        moved.append(any(not torch.equal(p, old) for p, old in zip(path, before, strict=True)))
        assert moved[-1] == (losses["satisfaction"] > 0)
    assert 0 < sum(moved) < len(moved)


def test_a_refused_step_keeps_what_waits_and_the_random_state() -> None:
    learner, batches = learner_of("easq", "method.answers_per_step=12", "answers.buffer=64")
    answered = next(batch for batch in batches if len(batch.option_A))
    learner.step(answered)
    before = flatten(copy_state(learner.state()))
    kept = learner.table.weight.clone()
    learner.table.weight[:] = float("nan")
    with pytest.raises(NonFiniteLossError):
        learner.step(answered)
    learner.table.weight = kept
    after = flatten(learner.state())
    assert before.keys() == after.keys()
    for name, values in before.items():
        np.testing.assert_array_equal(values, after[name], err_msg=name)
