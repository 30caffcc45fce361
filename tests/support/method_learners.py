"""What every test of a method needs: a learner of it, and which parameters a loss moves."""

import numpy as np
import torch

from easq.features.batch import Batch
from easq.learn.answer_rows import question_rows
from easq.learn.learner import Learner
from easq.model.objective import Supervision
from easq.recipe.learning import Alignment
from tests.learn.test_learner import steps_of, trained
from tests.support.small_worlds import small_recipe

__all__ = ["learner_of", "moved_by", "trained_by"]


def learner_of(method: str, *overrides: str) -> tuple[Learner, list[Batch]]:
    return steps_of(small_recipe(f"model.method={method}", *overrides))


def trained_by(method: str, *overrides: str) -> tuple[Learner, list[Batch]]:
    return trained(f"model.method={method}", *overrides)


def moved_by(
    learner: Learner,
    batch: Batch,
    name: str,
    alignment: Alignment = Alignment(),  # noqa: B008
) -> set[str]:
    """Return the parameters that have a gradient other than zero under one loss alone."""
    replayed = learner.buffer.sample(0, False, np.random.default_rng(0))
    questioned = None
    if learner.objective.reads_answers:
        questioned = question_rows(batch, replayed, 3, alignment)
    rows, told = batch.rows, None
    if learner.told is not None:
        rows, told = learner.told.join(batch, rows, np.random.default_rng(0))
    touched = learner.table.touch(rows)
    x = learner.pooling(touched, torch.from_numpy(rows.request_N))
    _, losses = learner.objective(x, Supervision(batch, questioned, told))
    learner.dense.zero_grad(set_to_none=True)
    losses.named()[name].backward()
    moved = {n for n, p in learner.dense.named_parameters() if p.grad is not None and p.grad.any()}
    if touched.value_UE.grad is not None and touched.value_UE.grad.any():
        moved.add("table")
    return moved
