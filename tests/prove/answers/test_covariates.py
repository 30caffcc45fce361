"""Covariates of an ask: one for each feature that one number can stand for."""

import numpy as np

from easq.features.examples import Viewed
from easq.log.events import Asked, Request
from easq.prove.answers.asks import AskRecord
from easq.prove.answers.covariates import Covariates
from easq.recipe.features import Vector
from tests.support.dense_world import dense_events, with_dense
from tests.support.small_worlds import small_recipe


def test_vectors_are_left_out_and_other_numbers_are_read() -> None:
    recipe = with_dense(small_recipe())
    request = next(e for e in dense_events(5) if isinstance(e, Request))
    asked = Asked(
        event_id="a",
        user_id=request.user_id,
        ts=request.ts,
        request_id=request.event_id,
        item_id=request.items[1],
        question="satisfaction",
        propensity=0.5,
    )
    described = Covariates(recipe.features, ()).describe(Viewed(request, [], []), AskRecord(asked, 1, 1), 0)
    features = [feature for feature in recipe.features if not isinstance(feature, Vector)]
    assert len(described) == len(features) + 5  # two of the hour, two places, one of earlier views
    place = [feature.name for feature in features].index("seconds")
    second = np.frombuffer(request.candidates["seconds"], "<f4")[1]
    np.testing.assert_array_equal(described[place], second)
