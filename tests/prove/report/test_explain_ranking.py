"""Why a ranking came out: by the parameters that served it, the scores are those that were served."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from easq.log.events import Request
from easq.prove.report.board import rankings
from easq.prove.report.explain_ranking import LoggedScorer, explain, newest_rankings
from tests.support.dense_world import with_dense
from tests.support.http_service import Served, a_model, serving
from tests.support.small_worlds import small_recipe

FEATURES = {
    "author_id": ["kim", "kim", "lee"],
    "topic": [1, 2, 3],
    "tags": [["cats"], ["cats", "dogs"], []],
    "duration_s": [9.0, 40.0, None],
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("home")) as service:
        for number in range(4):
            query = {"user_id": f"u{number}", "candidates": ["a", "b", "c"], "features": FEATURES}
            assert service.http.post("/v1/rank", json=query).status_code == 200
        yield service


@pytest.fixture(scope="module")
def scorer() -> LoggedScorer:
    recipe = small_recipe()
    return LoggedScorer(recipe, a_model(recipe))


def test_the_newest_rankings_come_first(served: Served) -> None:
    result = newest_rankings(served.log, 3)
    assert [request.user_id for request in result] == ["u3", "u2", "u1"]


def test_scores_are_those_that_were_served(served: Served, scorer: LoggedScorer) -> None:
    for request in newest_rankings(served.log, 4):
        for side in explain(request, scorer)["sides"]:
            assert side["behavior"] == pytest.approx(side["served"], abs=1e-5)
            assert side["satisfaction"] > 0


def test_only_differing_features_explain_a_lead(served: Served, scorer: LoggedScorer) -> None:
    request: Request = newest_rankings(served.log, 1)[0]
    result = explain(request, scorer)
    by_name: dict[str, Any] = {feature["name"]: feature for feature in result["features"]}
    assert {"item_id", "author_id", "duration_s", "tags"} <= set(by_name)
    moved = {name: (f["behavior"], f["satisfaction"]) != (0, 0) for name, f in by_name.items()}
    assert not any(moved[name] for name, f in by_name.items() if f["values"][0] == f["values"][1])
    assert moved["item_id"]
    first, second = result["sides"]
    assert first["served"] >= second["served"]


def test_names_are_data_and_not_html(served: Served, scorer: LoggedScorer) -> None:
    query = {"user_id": "<script>alert(1)</script>", "candidates": ["<b>a</b>", "b"]}
    assert served.http.post("/v1/rank", json=query).status_code == 200
    html = rankings([explain(newest_rankings(served.log, 1)[0], scorer)], {"": scorer.name})
    assert "<script" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html


def test_a_vector_is_a_reason_like_any_other_feature(tmp_path: Path) -> None:
    content = [[0.5] * 8, [-0.5] * 8, None]
    with serving(tmp_path, change=with_dense) as service:
        query = {"user_id": "u", "candidates": ["a", "b", "c"], "features": {"content": content}}
        assert service.http.post("/v1/rank", json=query).status_code == 200
        (request,) = newest_rankings(service.log, 1)
    recipe = with_dense(small_recipe())
    result = explain(request, LoggedScorer(recipe, a_model(recipe)))
    by_name = {feature["name"]: feature for feature in result["features"]}
    texts = {"a": "0.5 0.5 0.5 …", "b": "-0.5 -0.5 -0.5 …", "c": "unknown"}
    assert by_name["content"]["values"] == [texts[side["item"]] for side in result["sides"]]
    assert by_name["content"]["behavior"] != 0
    assert by_name["cover"]["behavior"] == 0
    for side in result["sides"]:
        assert side["behavior"] == pytest.approx(side["served"], abs=1e-5)
