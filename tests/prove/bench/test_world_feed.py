import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from easq.features.batch import Batch, Batcher, make_batch
from easq.features.encode import Rows
from easq.features.join import build_joiner, flush_all
from easq.learn.build import build_encoder
from easq.log.events import EVENTS
from easq.log.merge import MergedReader
from easq.log.sqlite import SqliteLog
from easq.prove.bench.world_feed import FedBatch, feed
from easq.prove.offline.truth import Truth
from easq.recipe.recipe import Recipe
from easq.sources.world.exact import expected_level
from easq.sources.world.recording import record, request_ids
from easq.sources.world.simulate import AskRates, World
from tests.support.small_worlds import small_recipe, small_world

RATES = AskRates(0.5, 0.5)
VIEWS = 6000


class Crowded(World):
    """So many views a day that requests share milliseconds, and chunks overlap by whole requests."""

    views_per_day = 1_000_000_000


def through_the_log(world: World, recipe: Recipe, path: Path) -> Iterator[Batch]:
    encoder = build_encoder(recipe)
    batcher = Batcher(recipe.training.batch_rows, recipe.training.batch_answers)
    with SqliteLog(path, partitions=3) as log:
        record(world, VIEWS, log, path.with_suffix(".truth"), lambda _: None)
        joiners = [build_joiner(recipe) for _ in range(3)]
        for events in MergedReader(log, EVENTS, log.end_offsets(EVENTS)):
            for partition, event in events:
                batcher.add(joiners[partition].push(event))
            while cut := batcher.cut():
                yield make_batch(encoder, recipe.behaviors, recipe.order.cap, cut)
        batcher.add(flush_all(joiners))
    assert not sum(joiner.counts.late for joiner in joiners)
    while cut := batcher.cut(final=True):
        yield make_batch(encoder, recipe.behaviors, recipe.order.cap, cut)


def assert_equal(fed: Batch, logged: Batch) -> None:
    assert fed.requests == (), "a world fed directly stands on no log"
    for field in dataclasses.fields(Batch):
        if field.name == "requests":
            continue
        one, other = getattr(fed, field.name), getattr(logged, field.name)
        if isinstance(one, Rows):
            for part in dataclasses.fields(Rows):
                assert np.array_equal(getattr(one, part.name), getattr(other, part.name)), part.name
        else:
            assert np.array_equal(one, other), field.name
            assert getattr(one, "dtype", None) == getattr(other, "dtype", None), field.name


@pytest.mark.parametrize(
    ("kind", "overrides"),
    [
        (World, ()),
        (World, ("training.batch_answers=7",)),
        (World, ("join.behavior_window=9.5", "join.lateness=0.0", "training.batch_rows=990")),
        (Crowded, ()),
    ],
)
def test_batches_from_the_world_equal_those_through_the_log(
    kind: type[World], overrides: tuple[str, ...], tmp_path: Path
) -> None:
    recipe = small_recipe(*overrides)
    encoder = build_encoder(recipe)
    fed = list(feed(kind(1, RATES, 60, 200), VIEWS // 10, recipe, encoder, num_partitions=3))
    logged = list(through_the_log(kind(1, RATES, 60, 200), recipe, tmp_path / "w.log"))
    assert len(fed) == len(logged) > 5
    assert sum(len(b.option_A) for b in logged) > 100
    for one, other in zip(fed, logged, strict=True):
        assert_equal(one.batch, other)
    truth = Truth(tmp_path / "w.truth")
    for one, other in zip(fed, logged, strict=True):
        assert np.array_equal(one.satisfaction_M, truth.of(other))
    truth.close()


def test_no_answer_of_a_warm_request_is_fed_and_the_others_are_as_without_it() -> None:
    recipe = small_recipe()
    encoder, whole, warm = build_encoder(recipe), small_world(), small_world()
    all_fed = list(feed(whole, 300, recipe, encoder, kept=0.5))
    late_fed = list(feed(warm, 300, recipe, encoder, kept=0.5, warm_requests=100))
    answered = [answered_requests(fed) for fed in (all_fed, late_fed)]
    cold = answered[0][:100].sum()
    assert cold > 10
    assert not answered[1][:100].any()
    np.testing.assert_array_equal(answered[1][100:], answered[0][100:])
    held = [sum(int((fed.held_M >= 0).sum()) for fed in one) for one in (all_fed, late_fed)]
    assert held[1] - held[0] == cold


def answered_requests(fed: list[FedBatch]) -> np.ndarray:
    """Return how many answers of each request are learned, requests in order of time."""
    counts: dict[tuple[int, str], int] = {}
    for batch in (one.batch for one in fed):
        for request, name in enumerate(batch.request_ids):
            counts.setdefault((int(batch.ts_B[request]), name), 0)
        for row in batch.answer_row_A.tolist():
            request = int(batch.rows.request_N[row])
            counts[int(batch.ts_B[request]), batch.request_ids[request]] += 1
    return np.array([counts[key] for key in sorted(counts)])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("join.behavior_window=5.0", "join.behavior_window must be 6.8 minutes or more"),
        ('question.name="mood"', "the question must be 'satisfaction'"),
    ],
)
def test_recipe_that_needs_a_log_is_refused(override: str, message: str) -> None:
    recipe = small_recipe(override)
    with pytest.raises(ValueError, match=message):
        next(feed(small_world(), 10, recipe, build_encoder(recipe)))


def test_expected_levels_are_those_of_each_view_and_of_the_batches_that_ask() -> None:
    recipe = small_recipe()
    world, encoder = World(2, RATES, num_viewers=60, num_items=200), build_encoder(recipe)
    level_of = {
        name: level_C
        for chunk in world.chunks(300)
        for name, level_C in zip(
            request_ids(chunk),
            expected_level(world.exposure(chunk), recipe.behaviors, recipe.order.cap),
            strict=True,
        )
    }
    again = World(2, RATES, num_viewers=60, num_items=200)
    views = 0
    for fed in feed(again, 300, recipe, encoder, expects_after=1000):
        views += fed.batch.num_viewed
        assert (fed.expected_M is not None) == (views > 1000)
        if fed.expected_M is not None:
            viewed = fed.batch.request_ids[: fed.batch.num_viewed // again.candidates]
            wanted = [level_of[name] for name in viewed]
            assert np.array_equal(fed.expected_M, np.concatenate([np.zeros(0), *wanted]))
    assert views == 3000
