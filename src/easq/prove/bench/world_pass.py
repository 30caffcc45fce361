"""One pass over a world: several methods learn side by side from the same batches, and are measured.

A batch is laid out only once, and every method sees the same requests in the same order.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from math import inf
from types import MappingProxyType

import numpy as np

from easq.arrays import F64
from easq.errors import InputError
from easq.features.batch import Batch
from easq.features.encode import Encoder
from easq.learn.build import build_encoder, build_learner
from easq.learn.learner import StepResult
from easq.learn.trainer import compute_alike
from easq.prove.bench.bound import BOUNDS, TRUE_BEHAVIOR, MeasuredRequests
from easq.prove.bench.linear import LINEAR, LinearReference, LinearSettings
from easq.prove.bench.measure import TOP, Lists, Measure, scores_of
from easq.prove.bench.plan import REFERENCES, BenchWorld, Cell, base_of
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
_UNMIXED = ("random", "popularity", "oracle", TRUE_BEHAVIOR, *BOUNDS)
_PROBED_REQUESTS, _PROBED_SEED = 10_000, 0


@dataclass(frozen=True)
class Sitting:
    """Settings of a pass other than its cells."""

    candidates: int
    measured_share: float
    linear: LinearSettings


def run_pass(
    cells: Sequence[tuple[Cell, Recipe]],
    sitting: Sitting,
    on_views: OnViews = lambda _: None,
    held_against: Mapping[str, tuple[Cell, Recipe]] = MappingProxyType({}),
) -> list[dict[str, float]]:
    """Return the metrics of each cell, all of one world and seed, in order.

    Only requests of the last `measured_share` of the views after the warm ones are measured. The price of a
    method in `held_against` is held against the ranking of that cell, which learns beside it if it is not in
    the pass. Raises InputError if the recipes would cut the world into different steps, if the world gives
    fewer answers than wanted, and for a bound without the method it is measured against.
    """
    place, seed = cells[0][0].place, cells[0][0].seed
    first = cells[0][1]
    if any(_feed_key(recipe) != _feed_key(first) for _, recipe in [*cells, *held_against.values()]):
        raise InputError("methods of one bench share features, behaviors, order, question, join and steps")
    compute_alike(first.training.threads)
    encoder = build_encoder(first)
    learners = _Learners(cells, encoder, held_against)
    references = _References({cell.arm.method for cell, _ in cells}, first, sitting.linear, seed)
    measures = [Measure(len(first.question.options) - 1) for _ in cells]
    bounds = _Bounds([cell for cell, _ in cells], sitting.candidates)
    start, views, answers, held = _measured_from(place, sitting.measured_share), 0, 0, 0
    for fed in _feed(place, seed, first, encoder, sitting.candidates, start if bounds.need_levels else inf):
        views += fed.batch.num_viewed
        answers += len(fed.batch.option_A)
        scores, steps = references.score(fed), learners.step(fed.batch)
        on_views(fed.batch.num_viewed * len(steps))
        if views <= start:
            continue
        lists = Lists.of(fed, sitting.candidates)
        held += len(lists.request_G)
        for (cell, _), measure in zip(cells, measures, strict=True):
            if cell in steps:
                measure.add_signals(steps[cell].signals)
                served_N = steps[cell].served_N.astype(np.float64)
            elif cell.arm.method in scores:
                served_N = scores[cell.arm.method]
            else:
                continue  # bounds are ranked when the pass has ended
            score_BC = scores_of(served_N, lists)
            measure.add(lists, score_BC)
            bounds.observe(cell, lists, score_BC)
    counts = {"views": float(views), "answers": float(answers), "held_answers": float(held)}
    bounds.measure([cell for cell, _ in cells], measures)
    at_prices = bounds.at_prices([cell for cell, _ in cells])
    return [m.values() | at_price | counts for m, at_price in zip(measures, at_prices, strict=True)]


class _Learners:
    """The learners of a pass by their cells, with those against which a price is held."""

    def __init__(
        self,
        cells: Sequence[tuple[Cell, Recipe]],
        encoder: Encoder,
        held_against: Mapping[str, tuple[Cell, Recipe]],
    ) -> None:
        recipes = {cell: recipe for cell, recipe in cells if cell.arm.method not in REFERENCES}
        recipes |= dict(held_against.values())
        self._reference_of = {method: cell for method, (cell, _) in held_against.items()}
        # A method learns after the one that its price is held against.
        order = sorted(recipes, key=lambda cell: cell.arm.method in held_against)
        self._learners = {cell: build_learner(recipes[cell], encoder) for cell in order}

    def step(self, batch: Batch) -> dict[Cell, StepResult]:
        """Let everyone learn a step. Raises ArithmeticError with the cell whose losses are not finite."""
        steps: dict[Cell, StepResult] = {}
        for cell, learner in self._learners.items():
            own = batch
            if reference := self._reference_of.get(cell.arm.method):
                own = replace(batch, reference_M=steps[reference].served_N[: batch.num_viewed])
            try:
                steps[cell] = learner.step(own)
            except ArithmeticError as error:
                where = f"{cell.arm.name}, {cell.place.scenario}, seed {cell.seed}"
                raise ArithmeticError(f"{where}: {error}") from None
        return steps


class _References:
    """Scorers without a recipe of their own."""

    def __init__(self, methods: Set[str], recipe: Recipe, settings: LinearSettings, seed: int) -> None:
        self._simple = References(("popularity", "random"), seed)
        self._linear = None if methods.isdisjoint(LINEAR) else LinearReference(recipe, settings)

    def score(self, fed: FedBatch) -> dict[str, F64]:
        """Return the scores of a step's rows, and learn it."""
        scores = self._simple.score(fed.batch)
        scores["oracle"] = fed.satisfaction_M.astype(np.float64)
        if fed.expected_M is not None:
            scores[TRUE_BEHAVIOR] = fed.expected_M.astype(np.float64)
        if self._linear is not None:
            scores |= self._linear.step(fed.batch).by_method
        return scores


class _Bounds:
    """The bounds of a pass, if it has any. Raises InputError where they cannot be measured."""

    def __init__(self, cells: Sequence[Cell], candidates: int) -> None:
        methods = {cell.arm.method for cell in cells}
        self._base = None if methods.isdisjoint(BOUNDS) else base_of(cells)
        if self._base is not None and candidates <= TOP:
            raise InputError(f"candidates: got {candidates}; allowed with bounds: more than {TOP}")
        self.need_levels = self._base is not None or TRUE_BEHAVIOR in methods
        self._requests = MeasuredRequests()

    def observe(self, cell: Cell, lists: Lists, score_BC: F64) -> None:
        """Take a step's scores of the base, or of a method that is mixed with it."""
        if cell == self._base:
            self._requests.add(lists, score_BC)
        elif self._base is not None and cell.arm.method not in _UNMIXED:
            self._requests.add_scores(cell.arm.name, score_BC)

    def at_prices(self, cells: Sequence[Cell]) -> list[dict[str, float]]:
        """Return what each cell has at the prices of the bounds, where there are bounds."""
        return [self._requests.at_prices(cell.arm.name) for cell in cells]

    def measure(self, cells: Sequence[Cell], measures: Sequence[Measure]) -> None:
        """Fill the measures of the bounds among the cells."""
        for cell, measure in zip(cells, measures, strict=True):
            if cell.arm.method in BOUNDS:
                self._requests.measure(BOUNDS[cell.arm.method], measure)


def _measured_from(place: BenchWorld, share: float) -> float:
    """Return the number of views before those measured: the last `share` of the views with answers."""
    return place.warm + (place.views - place.warm) * (1 - share)


def _feed(
    place: BenchWorld, seed: int, recipe: Recipe, encoder: Encoder, candidates: int, expects_after: float
) -> Iterator[FedBatch]:
    return feed(
        _world(place, seed, candidates),
        -(-place.views // candidates),
        recipe,
        encoder,
        kept=kept_share(place, candidates),
        spared=_spared(place),
        warm_requests=-(-place.warm // candidates),
        expects_after=expects_after,
    )


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
