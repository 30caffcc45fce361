"""A team's own score as the base of a live service: what it needs of a call, and what it serves."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from easq.log.events import Request
from easq.recipe.features import Reference, Score
from easq.recipe.recipe import Recipe
from tests.support.http_service import serving
from tests.support.small_worlds import small_recipe

ITEMS = [f"i{n}" for n in range(6)]
SCORES = [0.2, 3.0, -1.0, 2.5, 0.0, 9.0]


def with_reference(recipe: Recipe) -> Recipe:
    features = (*recipe.features, Score(name="prod_score"))
    return msgspec.structs.replace(recipe, features=features, reference=Reference("prod_score"))


def with_chances(recipe: Recipe) -> Recipe:
    names = [behavior.name for behavior in recipe.behaviors]
    chances = [Score(name=f"p_{name}", behavior=name) for name in names]
    method = msgspec.structs.replace(recipe.method, chances=tuple(chance.name for chance in chances))
    return msgspec.structs.replace(recipe, features=(*recipe.features, *chances), method=method)


def call(**features: list[Any]) -> dict[str, Any]:
    return {"user_id": "u1", "candidates": ITEMS, "features": features}


@pytest.mark.parametrize("kind", ["probe", "behavior"])
def test_before_anything_is_learned_the_teams_order_is_served(tmp_path: Path, kind: str) -> None:
    with serving(tmp_path, f"method.kind={kind}", change=with_reference) as served:
        reply = served.http.post("/v1/rank", json=call(prod_score=SCORES)).json()
        some = served.http.post("/v1/rank", json=call(prod_score=[None, 3.0, -1.0, 2.5, 0.0, 9.0])).json()
        (first, _) = [event for event in served.logged() if isinstance(event, Request)]
    assert reply["items"] == [ITEMS[n] for n in np.argsort(SCORES)[::-1]]
    assert [item for item in some["items"] if item != "i0"] == [i for i in reply["items"] if i != "i0"]
    values = np.frombuffer(first.candidates["prod_score"], "<f4")
    assert dict(zip(first.items, values.tolist(), strict=True)) == pytest.approx(
        dict(zip(ITEMS, SCORES, strict=True))
    )


def test_a_call_without_a_score_is_refused_by_name(tmp_path: Path) -> None:
    with serving(tmp_path, "method.kind=probe", change=with_reference) as served:
        for features in ({}, {"prod_score": [None] * 6}):
            reply = served.http.post("/v1/rank", json=call(**features))
            assert reply.status_code == 400
            assert "features.prod_score: got none" in reply.json()["error"]["message"]
        assert served.logged() == []


def test_in_the_shadow_the_score_is_logged_with_what_was_shown(tmp_path: Path) -> None:
    with serving(tmp_path, "method.kind=probe", change=with_reference) as served:
        shadow = {**call(prod_score=SCORES), "mode": "shadow", "shown": ["i2", "i4"]}
        assert served.http.post("/v1/rank", json=shadow).status_code == 200
        (event,) = [event for event in served.logged() if isinstance(event, Request)]
    assert event.returned == ["i2", "i4"]
    assert np.frombuffer(event.candidates["prod_score"], "<f4")[:2].tolist() == [-1.0, 0.0]


def test_a_chance_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    with serving(tmp_path, "method.kind=probe", change=with_chances) as served:
        names = [f"p_{behavior.name}" for behavior in small_recipe().behaviors]
        good = {name: [0.1 * n for n in range(6)] for name in names}
        assert served.http.post("/v1/rank", json=call(**good)).status_code == 200
        reply = served.http.post("/v1/rank", json=call(**{**good, names[0]: [0.1, 1.5, 0, 0, 0, 0]}))
        assert reply.status_code == 400
        message = reply.json()["error"]["message"]
        assert f"features.{names[0]}: got 1.5; allowed: chances from 0 to 1" in message
