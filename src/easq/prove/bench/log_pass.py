"""Methods and the linear learner on a whole log: test, then train, with every answer learned.

`easq bench` on a real log thins its answers; here none is held back, so small logs say what they can.
Shapes: M viewed rows, K behaviors.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from easq.arrays import F64, I64, Bool
from easq.learn.learner import StepResult
from easq.learn.trainer import Trainer, compute_alike
from easq.log.base import EventLog
from easq.log.events import EVENTS
from easq.model.pairwise_accuracy import pairs_right
from easq.prove.bench.linear import LINEAR, LinearReference, LinearSettings
from easq.prove.offline.first_scores import FirstScores
from easq.prove.offline.metrics import ScoreOrder
from easq.prove.offline.references import References, own_ranker
from easq.prove.offline.tally import Tally
from easq.prove.offline.window import Window
from easq.recipe.recipe import Recipe

_MODEL, _EXPERT, _RIDGE = "model", "expert", "ridge"
_SHOWN = {"sat/auc_all": "sat/raw_auc", "sat/pair_accuracy": "sat/pair_accuracy"}


class LogMetrics(NamedTuple):
    """The sums of all methods; `name_of` has the name in them of a method's metric."""

    tally: Tally
    name_of: dict[tuple[str, str], str]


class _Heads:
    """The chances of behaviors, kept until their AUC is taken over the whole log."""

    def __init__(self) -> None:
        self._user: list[I64] = []
        self._chance: list[F64] = []
        self._behavior: list[Bool] = []

    def add(self, step: StepResult, chance_MK: F64) -> None:
        batch = step.batch
        self._user.append(batch.user_B[batch.rows.request_N[: batch.num_viewed]])
        self._chance.append(chance_MK)
        self._behavior.append(batch.behavior_MK)

    def measure(self, tally: Tally, names: Sequence[str]) -> None:
        if not self._user:
            return
        user, behavior = np.concatenate(self._user), np.concatenate(self._behavior)
        for k, name in enumerate(names):
            order = ScoreOrder(np.concatenate([chance[:, k] for chance in self._chance]))
            tally.add_auc(name, user, order, behavior[:, k])


def run_log(
    recipes: Mapping[str, Recipe],
    log: EventLog,
    linear: LinearSettings | None,
) -> LogMetrics:
    """Return the metrics of each method, of popularity and, with settings for it, of the linear learner.

    Satisfaction is measured by a method's own estimate of it where it has one, else by what it serves.
    """
    first = next(iter(recipes.values()))
    tally = Tally(first.evaluation.replicates, first.evaluation.confidence, first.seed)
    metrics = LogMetrics(tally, {})
    for number, (method, recipe) in enumerate(recipes.items()):
        _run_method(method, recipe, log, metrics, linear if not number else None, with_references=not number)
    return metrics


def _run_method(
    method: str,
    recipe: Recipe,
    log: EventLog,
    metrics: LogMetrics,
    linear: LinearSettings | None,
    *,
    with_references: bool,
) -> None:
    compute_alike(recipe.training.threads)
    reference = None if linear is None else LinearReference(recipe, linear)
    references = (
        References(("popularity",), recipe.seed, own_ranker(recipe))
        if with_references
        else References((), recipe.seed)
    )
    others = (*references.names, *(LINEAR if reference else ()), *((_RIDGE,) if reference else ()))
    window, first = Window([], recipe.question.options, (_MODEL, *others)), FirstScores()
    heads, linear_heads, has_estimate = _Heads(), _Heads(), False
    tally = Tally(recipe.evaluation.replicates, recipe.evaluation.confidence, recipe.seed)
    for step in _steps(recipe, log):
        scores = {_MODEL: step.served_N.astype(np.float64), **references.score(step.batch)}
        if step.chance_MK is not None:
            heads.add(step, step.chance_MK.astype(np.float64))
        if reference is not None:
            found = reference.step(step.batch)
            scores |= found.by_method | {_RIDGE: found.ridge_N}
            linear_heads.add(step, found.chance_NK[: step.batch.num_viewed])
        has_estimate |= step.satisfaction_L is not None
        seen, scores = first.apply(step, scores)
        window.add(seen, scores)
        _add_pairs(tally, seen, scores)
    window.measure_answers(tally)
    heads.measure(tally, [f"auc/{b.name}" for b in recipe.behaviors])
    linear_heads.measure(tally, [f"linear/auc/{b.name}" for b in recipe.behaviors])
    _name(metrics, method, tally, "", _EXPERT + "/" if has_estimate else "")
    for other in others:
        if other != _RIDGE:
            estimate = _RIDGE if other == "linear_ridge" else other
            _name(metrics, other, tally, f"{other}/", f"{estimate}/")


def _add_pairs(tally: Tally, step: StepResult, scores: Mapping[str, F64]) -> None:
    batch = step.batch
    if not batch.num_viewed:
        return
    request_M = batch.rows.request_N[: batch.num_viewed]
    for name, score_N in scores.items():
        right_B, pairs_B = pairs_right(request_M, batch.level_M, score_N)
        prefix = "" if name == _MODEL else f"{name}/"
        tally.add(f"{prefix}pair_accuracy", batch.user_B[: len(pairs_B)], right_B, pairs_B)


def _name(metrics: LogMetrics, method: str, tally: Tally, served: str, estimate: str) -> None:
    """Take a method's metrics over from the sums of its run."""
    known = tally.names()
    shared = "linear/" if method in LINEAR else served
    wanted = {"pair_accuracy": f"{served}pair_accuracy"}
    wanted |= {name.removeprefix(shared): name for name in known if name.startswith(f"{shared}auc/")}
    wanted |= {shown: f"{estimate}{name}" for shown, name in _SHOWN.items()}
    for metric, name in wanted.items():
        if name in known:
            metrics.name_of[method, metric] = f"{method}/{metric}"
            metrics.tally.take(f"{method}/{metric}", tally, name)


def _steps(recipe: Recipe, log: EventLog) -> Iterator[StepResult]:
    until = log.end_offsets(EVENTS)
    trainer = Trainer(recipe, len(until))
    for _ in trainer.read(log, until):
        yield from trainer.train_steps()
    trainer.close_windows()
    yield from trainer.train_steps(flush=True)
