"""Another ranker's score as the base: its order is kept, its scale learned, and a price held beside it."""

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from easq.errors import InputError
from easq.features.batch import Batch
from easq.features.columns import Shape, unpack
from easq.features.encode import Encoder, ServingEncoder
from easq.learn.build import build_encoder, build_learner
from easq.learn.learner import Learner
from easq.log.events import Event, Request
from easq.log.packing import pack_floats
from easq.prove.offline.references import References, own_ranker
from easq.recipe.features import Reference, Score
from easq.recipe.recipe import Recipe
from tests.learn.test_learner import learned_from
from tests.support.continued import assert_continues
from tests.support.method_learners import all_scores
from tests.support.small_worlds import small_recipe, world_events


def with_reference(*overrides: str) -> Recipe:
    recipe = small_recipe(*overrides)
    features = (*recipe.features, Score(name="prod_score"))
    return msgspec.structs.replace(recipe, features=features, reference=Reference("prod_score"))


def scored_events(far: float = 0.0) -> Iterator[Event]:
    """Yield a world's events whose requests bring a score; a tenth of the scores is unknown."""
    random = np.random.default_rng(5)
    for event in world_events(120):
        if isinstance(event, Request):
            score = far + random.normal(size=len(event.items))
            score[random.random(len(score)) < 0.1] = np.nan
            columns = {**event.candidates, "prod_score": pack_floats(score.tolist())}
            yield msgspec.structs.replace(event, candidates=columns)
        else:
            yield event


def steps_with(recipe: Recipe, far: float = 0.0) -> tuple[Learner, list[Batch]]:
    return learned_from(recipe, scored_events(far))


@pytest.mark.parametrize("far", [0.0, 1e6])
def test_the_base_has_the_order_of_the_score_and_the_scale_of_behavior(far: float) -> None:
    learner, batches = steps_with(with_reference("method.kind=behavior"), far)
    for batch in batches[:-1]:
        learner.step(batch)
    last = batches[-1]
    score_N, served_N = last.rows.score_NS[:, 0], learner.score(last)
    is_known_N = np.isfinite(score_N)
    assert not is_known_N.all()
    order = np.argsort(score_N[is_known_N], kind="stable")
    assert (np.diff(served_N[is_known_N][order]) >= 0).all()
    levels = np.concatenate([b.level_M for b in batches[:-1]])
    assert served_N.mean() == pytest.approx(levels.mean(), abs=0.05)
    # A row without a score stands where the mean score does.
    assert served_N[~is_known_N] == pytest.approx(np.full((~is_known_N).sum(), levels.mean()), abs=0.01)


def test_the_scale_is_least_squares() -> None:
    learner, batches = steps_with(with_reference("method.kind=behavior"))
    learner.objective._sums._scale._place = learner.objective._sums._scale._place._replace(
        half_life_views=1e12
    )
    for batch in batches:
        learner.step(batch)
    score = np.concatenate([b.rows.score_NS[: b.num_viewed, 0] for b in batches]).astype(np.float64)
    level = np.concatenate([b.level_M for b in batches]).astype(np.float64)
    score, level = score[np.isfinite(score)], level[np.isfinite(score)]
    slope = np.cov(score, level, bias=True)[0, 1] / score.std()
    expected = max((slope * len(score) + 0.1 * 100) / (len(score) + 100), 1e-3)
    found = learner.network.reference.scale_4.tolist()
    assert found == pytest.approx([score.mean(), score.std(), level.mean(), expected], rel=1e-4)


@pytest.mark.parametrize("kind", ["probe", "satisfaction_tower"])
def test_answers_move_what_is_served_and_never_the_reference(kind: str) -> None:
    with_answers, batches = steps_with(with_reference(f"method.kind={kind}"))
    base, _ = steps_with(with_reference("method.kind=behavior"))
    for batch in batches[:-1]:
        with_answers.step(batch)
        base.step(batch)
    scores = all_scores(with_answers, batches[-1])
    assert scores.behavior_N is not None
    np.testing.assert_array_equal(scores.behavior_N.numpy(), base.score(batches[-1]))
    assert not np.allclose(scores.served_N.numpy(), scores.behavior_N.numpy())


@pytest.mark.parametrize("kind", ["behavior", "probe", "satisfaction_tower"])
def test_state_round_trip_continues_bit_for_bit(kind: str) -> None:
    recipe = with_reference(f"method.kind={kind}")
    first, batches = steps_with(recipe)
    for batch in batches[:3]:
        first.step(batch)
    assert_continues(first, build_learner(recipe, build_encoder(recipe)), batches[3:5])


def test_live_rows_hold_the_score_that_logged_rows_hold() -> None:
    recipe = with_reference("method.kind=probe")
    request = next(e for e in scored_events() if isinstance(e, Request))
    logged = Encoder(recipe.features, recipe.row_salt).encode([request])
    viewer, candidate = (Shape.of(recipe.features, side) for side in ("viewer", "candidate"))
    live = ServingEncoder(recipe.features, recipe.row_salt).encode(
        unpack(viewer, request.viewer, request.lengths, 1),
        unpack(candidate, request.candidates, request.lengths, len(request.items)),
    )
    np.testing.assert_array_equal(live.candidate_NV, logged.candidate_NV)
    np.testing.assert_array_equal(live.score_NS, logged.score_NS)
    assert logged.score_NS.shape == (len(request.items), 1)


def test_the_reference_is_measured_under_its_name() -> None:
    recipe = with_reference("method.kind=probe")
    _, batches = steps_with(recipe)
    batch = batches[0]
    references = References(("popularity",), 1, own_ranker(recipe))
    assert references.names == ("popularity", "prod_score")
    score_N = references.score(batch)["prod_score"]
    is_known_N = np.isfinite(batch.rows.score_NS[:, 0])
    np.testing.assert_array_equal(score_N[is_known_N], batch.rows.score_NS[is_known_N, 0].astype(np.float64))
    assert np.isfinite(score_N).all()


def with_chances(*overrides: str, reference: bool = True) -> Recipe:
    recipe = with_reference("method.kind=probe", *overrides)
    chances = (Score(name="p_like", behavior="like"), Score(name="p_long", behavior="long_view"))
    method = msgspec.structs.replace(recipe.method, chances=("p_like", "p_long"))
    return msgspec.structs.replace(
        recipe,
        features=(*recipe.features, *chances),
        method=method,
        reference=recipe.reference if reference else None,
    )


def chance_events(wrong: float | None = None) -> Iterator[Event]:
    """Yield events whose requests bring two chances; one is unknown, or what it cannot be."""
    random = np.random.default_rng(9)
    for event in scored_events():
        if isinstance(event, Request):
            for name in ("p_like", "p_long"):
                chance = random.random(len(event.items))
                chance[0] = np.nan if wrong is None else wrong
                event.candidates[name] = pack_floats(chance.tolist())
        yield event


def chance_steps(recipe: Recipe, wrong: float | None = None) -> tuple[Learner, list[Batch]]:
    return learned_from(recipe, chance_events(wrong))


@pytest.mark.parametrize("reference", [True, False])
def test_given_chances_take_the_place_of_the_heads(reference: bool) -> None:
    recipe = with_chances("method.prior_answers=1", reference=reference)
    learner, batches = chance_steps(recipe)
    assert learner.table.weight.shape[1] == learner.pooling.own_columns[-1] + 1 <= 2
    assert not list(learner.dense.parameters()) or not any(p.numel() for p in learner.dense.parameters())
    # Chance says nothing of answers, but what was learned once is known the next time.
    results = [learner.step(batch) for batch in 4 * batches]
    assert learner.network.readout.mix_3.any()
    assert results[-1].losses["main"] > 0
    assert all(np.isfinite(r.served_N).all() for r in results)
    scores = all_scores(learner, batches[-1])
    assert scores.behavior_N is not None
    assert not np.array_equal(scores.behavior_N.numpy(), scores.served_N.numpy())
    again = build_learner(recipe, build_encoder(recipe))
    assert_continues(learner, again, batches[:2])


@pytest.mark.parametrize("wrong", [-0.5, 1.5])
def test_what_is_no_chance_is_named(wrong: float) -> None:
    learner, batches = chance_steps(with_chances(), wrong)
    with pytest.raises(InputError, match=rf"features\.p_like: got {wrong}; allowed: chances from 0 to 1"):
        learner.step(batches[0])
