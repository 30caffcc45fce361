"""One pass over a world: several methods learn side by side from the same batches, and are measured.

A batch is laid out only once, and every method sees the same requests in the same order.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from easq.errors import InputError
from easq.learn.build import build_encoder, build_learner
from easq.learn.learner import Learner, StepResult
from easq.learn.trainer import compute_alike
from easq.prove.bench.linear import LINEAR, LinearReference, LinearSettings
from easq.prove.bench.measure import Lists, Measure, scores_of
from easq.prove.bench.plan import REFERENCES, BenchWorld, Cell
from easq.prove.bench.world_feed import FedBatch, feed
from easq.prove.offline.references import References
from easq.recipe.recipe import Recipe
from easq.sources.world.answering import AskRates
from easq.sources.world.simulate import World

OnViews = Callable[[int], None]
_ASK = 1.0
_FEW, _ANSWER_FEW, _ANSWER_MANY, _SPARED_MANY = 0.02, 0.2, 0.5, 0.5
"""More than `_FEW` answers a view need viewers who answer more. Then most requests hold an answer, and those
without one are watched less, on which a price in behavior looks higher. So half are drawn to have none."""
_PROBED_REQUESTS, _PROBED_SEED = 10_000, 0


@dataclass(frozen=True)
class Sitting:
    """Settings of a pass other than its cells."""

    candidates: int
    measured_share: float
    linear: LinearSettings


def run_pass(
    cells: Sequence[tuple[Cell, Recipe]], sitting: Sitting, on_views: OnViews = lambda _: None
) -> list[dict[str, float]]:
    """Return the metrics of each cell, all of one world and seed, in order.

    Only requests of the last `measured_share` of the views after the warm ones are measured. Raises
    InputError if the recipes would cut the world into different steps, or if the world gives fewer answers
    than wanted.
    """
    place, seed = cells[0][0].place, cells[0][0].seed
    first = cells[0][1]
    if any(_feed_key(recipe) != _feed_key(first) for _, recipe in cells):
        raise InputError("methods of one bench share features, behaviors, order, question, join and steps")
    compute_alike(first.training.threads)
    encoder = build_encoder(first)
    learners = [
        None if cell.arm.method in REFERENCES else build_learner(recipe, encoder) for cell, recipe in cells
    ]
    measures = [Measure(len(first.question.options) - 1) for _ in cells]
    references = References(("popularity", "random"), seed)
    has_linear = any(cell.arm.method in LINEAR for cell, _ in cells)
    linear = LinearReference(first, sitting.linear) if has_linear else None
    world = _world(place, seed, sitting.candidates)
    kept, warm = kept_share(place, sitting.candidates), -(-place.warm // sitting.candidates)
    requests = -(-place.views // sitting.candidates)
    start = place.warm + (place.views - place.warm) * (1 - sitting.measured_share)
    views, answers, held = 0, 0, 0
    spared = _spared(place)
    for fed in feed(world, requests, first, encoder, kept=kept, spared=spared, warm_requests=warm):
        views += fed.batch.num_viewed
        lists = Lists(fed, sitting.candidates, spared > 0) if views > start else None
        scores = references.score(fed.batch)
        scores["oracle"] = fed.satisfaction_M.astype(np.float64)
        if linear is not None:
            scores |= linear.step(fed.batch).by_method
        for (cell, _), learner, measure in zip(cells, learners, measures, strict=True):
            if learner is None:
                served_N = scores[cell.arm.method]
            else:
                step = _step(learner, fed, cell)
                served_N = step.served_N.astype(np.float64)
                if lists is not None:
                    measure.add_signals(step.signals)
            if lists is not None:
                measure.add(lists, scores_of(served_N, lists))
        answers += len(fed.batch.option_A)
        if lists is not None:
            held += len(lists.request_G)
        on_views(fed.batch.num_viewed * sum(learner is not None for learner in learners))
    counts = {"views": float(views), "answers": float(answers), "held_answers": float(held)}
    return [measure.values() | counts for measure in measures]


def _step(learner: Learner, fed: FedBatch, cell: Cell) -> StepResult:
    try:
        return learner.step(fed.batch)
    except ArithmeticError as error:
        raise ArithmeticError(f"{cell.arm.name}, {cell.place.scenario}, seed {cell.seed}: {error}") from None


def kept_share(place: BenchWorld, candidates: int) -> float:
    """Return the share of a world's answers to learn, so that there are `place.answers` per view.

    Of requests that are spared none is learned. The answers are counted in a world with a seed that no bench
    uses. Raises InputError if they are fewer.
    """
    chunks = _world(place, _PROBED_SEED, candidates).chunks(_PROBED_REQUESTS)
    given = float(np.mean([float((chunk.option_RC >= 0).mean()) for chunk in chunks]))
    given *= 1 - _spared(place)
    if place.answers > given:
        views = place.views - place.warm
        raise InputError(
            f"{place.scenario}, bias {place.bias:g}: got {place.num_answers:,} answers of {views:,} views "
            f"({place.answers:g} a view); allowed: up to {int(given * views):,}, as many as viewers give"
        )
    return place.answers / given


def refuse_too_many(places: Iterable[BenchWorld], candidates: int) -> None:
    """Raise InputError if a world gives fewer answers than are wanted of it. Few answers are not counted."""
    for place in dict.fromkeys(places):
        if place.answers > _FEW:
            kept_share(place, candidates)


def _spared(place: BenchWorld) -> float:
    return _SPARED_MANY if place.answers > _FEW else 0.0


def _world(place: BenchWorld, seed: int, candidates: int) -> World:
    answer = _ANSWER_FEW if place.answers <= _FEW else _ANSWER_MANY
    rates = AskRates(_ASK, answer, place.bias)
    return World(seed, rates, scenario=place.scenario, candidates=candidates)


def _feed_key(recipe: Recipe) -> tuple[object, ...]:
    training = recipe.training
    steps = training.batch_rows, training.batch_answers, training.threads
    return recipe.features, recipe.behaviors, recipe.order, recipe.question, recipe.join, steps
