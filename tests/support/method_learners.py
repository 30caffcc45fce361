"""What every test of a method needs: a learner of it, and which parameters a loss moves."""

import numpy as np
import torch

from easq.features.batch import Batch
from easq.learn.answer_rows import answer_rows
from easq.learn.learner import Learner
from easq.model.method import methods
from easq.model.objective import Supervision
from easq.model.scores import Scores
from tests.learn.test_learner import steps_of, trained
from tests.support.small_worlds import small_recipe

__all__ = ["all_scores", "learner_of", "moved_by", "read_by", "trained_by"]


def read_by(method: str, **settings: object) -> tuple[str, ...]:
    """Return those of the settings that a method reads, as overrides; what has a price names its share so."""
    fields = methods()[method].__struct_fields__
    share = "max_share" if "max_share" in fields else "satisfaction_share"
    named = {(share if k == "satisfaction_share" else k): v for k, v in settings.items()}
    return tuple(f"method.{name}={value}" for name, value in named.items() if name in fields)


def learner_of(method: str, *overrides: str) -> tuple[Learner, list[Batch]]:
    return steps_of(small_recipe(f"method.kind={method}", *overrides))


def trained_by(method: str, *overrides: str) -> tuple[Learner, list[Batch]]:
    return trained(f"method.kind={method}", *overrides)


def moved_by(learner: Learner, batch: Batch, name: str) -> set[str]:
    """Return the parameters that have a gradient other than zero under one loss alone."""
    pairs = None
    if learner.answer_use is not None:
        replayed = learner.buffer.sample(0, False, np.random.default_rng(0))
        pairs = answer_rows(batch, replayed, 3, learner.answer_use)
    rows, labelled = batch.rows, None
    if learner.labelled is not None:
        rows, labelled = learner.labelled.join(batch, rows, np.random.default_rng(0))
    touched = learner.table.touch(rows)
    x = learner.pooling(touched, torch.from_numpy(rows.request_N))
    _, losses = learner.objective(x, Supervision(batch, pairs, labelled))
    learner.dense.zero_grad(set_to_none=True)
    losses.named()[name].backward()
    moved = {n for n, p in learner.dense.named_parameters() if p.grad is not None and p.grad.any()}
    if touched.value_UE.grad is not None and touched.value_UE.grad.any():
        moved.add("table")
    return moved


@torch.no_grad()
def all_scores(learner: Learner, batch: Batch) -> Scores:
    """Return all that the network says of a batch, satisfaction of every row included."""
    request_N = torch.from_numpy(batch.rows.request_N)
    x = learner.pooling(learner.table.touch(batch.rows), request_N)
    result: Scores = learner.network(x, torch.arange(len(request_N)))
    return result
