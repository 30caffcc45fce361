"""A ranking over HTTP: logged before it is answered, in JSON and in MessagePack."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from easq.log.events import Request
from tests.support.http_service import Served, serving

CALL = {"user_id": "u1", "candidates": ["a", "b", "c", "d"]}
PACKED = {"content-type": "application/msgpack"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("home")) as service:
        yield service


def test_a_ranking_is_on_the_log_when_it_is_answered(served: Served) -> None:
    reply = served.http.post("/v1/rank", json=CALL)
    assert reply.status_code == 200
    body = reply.json()
    assert sorted(body["items"]) == CALL["candidates"]
    assert body["scores"] == sorted(body["scores"], reverse=True)
    assert body["logged"] is True
    (event,) = [e for e in served.logged() if e.event_id == body["request_id"]]
    assert isinstance(event, Request)
    assert (event.user_id, event.version, event.arm) == ("u1", body["version"], body["arm"])
    assert event.items == body["items"]
    assert np.frombuffer(event.scores, "<f4").tolist() == pytest.approx(body["scores"])


def test_messagepack_brings_the_same_scores_as_raw_numbers(served: Served) -> None:
    expected = served.http.post("/v1/rank", json=CALL).json()
    reply = served.http.post("/v1/rank", content=msgspec.msgpack.encode(CALL), headers=PACKED)
    assert reply.headers["content-type"] == "application/msgpack"
    body = msgspec.msgpack.decode(reply.content)
    assert body["items"] == expected["items"]
    assert np.frombuffer(body["scores"], "<f4").tolist() == expected["scores"]


def test_accept_chooses_the_form_of_the_reply(served: Served) -> None:
    reply = served.http.post("/v1/rank", json=CALL, headers={"accept": "application/msgpack"})
    assert reply.headers["content-type"] == "application/msgpack"
    body, headers = msgspec.msgpack.encode(CALL), {**PACKED, "accept": "text/html, application/json;q=0.9"}
    assert served.http.post("/v1/rank", content=body, headers=headers).json()["items"]


def test_features_given_on_the_spot_change_the_scores(served: Served) -> None:
    inline = {
        "author_id": ["kim", "lee", 3, "kim"],
        "duration_s": [1.0, None, 50, 7],
        "tags": [["x"], [], [4], []],
    }
    plain = served.http.post("/v1/rank", json=CALL).json()
    reply = served.http.post("/v1/rank", json={**CALL, "features": inline, "context": {"hour": 12}}).json()
    assert dict(zip(reply["items"], reply["scores"], strict=True)) != dict(
        zip(plain["items"], plain["scores"], strict=True)
    )


def test_raw_columns_score_as_the_same_numbers_in_json(served: Served) -> None:
    numbers, ids = [1.0, 20.0, 50.0, 7.0], [5, -6, 7, 8]
    columns = {"duration_s": numbers, "author_id": ids}
    raw = {"duration_s": np.array(numbers, "<f4").tobytes(), "author_id": np.array(ids, "<i8").tobytes()}
    expected = served.http.post("/v1/rank", json={**CALL, "features": columns}).json()
    body = msgspec.msgpack.encode({**CALL, "features": raw})
    content = msgspec.msgpack.decode(served.http.post("/v1/rank", content=body, headers=PACKED).content)
    assert np.frombuffer(content["scores"], "<f4").tolist() == expected["scores"]


def test_limit_cuts_the_reply(served: Served) -> None:
    whole = served.http.post("/v1/rank", json=CALL).json()
    assert served.http.post("/v1/rank", json={**CALL, "limit": 2}).json()["items"] == whole["items"][:2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": []}, "candidates: expected `array` of length >= 1"),
        ({"candidates": ["a", "a"]}, "candidates: 'a' stands there more than once"),
        ({"candidates": ["a", 3]}, "candidates[1]: expected `str`, got `int`"),
        ({"candidates": ["a", ""]}, "candidates[1]: expected `str` of length >= 1"),
        ({"candidates": ["a", "b\n"]}, "candidates: holds a control character"),
        ({"user_id": "\x1b"}, "user_id: holds a control character"),
        ({"user_id": None}, "user_id: expected `str`, got `null`"),
        ({"limit": 0}, "limit: expected `int` >= 1"),
        ({"userid": "u"}, "unknown field `userid`"),
        ({"features": {"author_id": ["x"]}}, "features.author_id: got 1 values"),
        ({"features": {"colour": [1, 2, 3, 4]}}, "features: unknown feature 'colour'"),
        ({"features": {"duration_s": "AAAA"}}, "expected `array`, got `str`"),
        ({"context": {"colour": 3}}, "context: unknown feature 'colour'"),
        (
            {"context": {"hour": {}}},
            "context.hour: expected `bool | int | float | str | array | null`, got `object`",
        ),
    ],
)
def test_an_impossible_call_is_refused_and_not_logged(
    served: Served, change: dict[str, Any], message: str
) -> None:
    before = len(served.logged())
    reply = served.http.post("/v1/rank", json={**CALL, **change})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["code"] == "invalid"
    assert message in error["message"]
    assert len(served.logged()) == before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "cannot be decoded: Input data was truncated"),
        (b"{", "cannot be decoded: Input data was truncated"),
        (b"\xff\xfe", "cannot be decoded: JSON is malformed"),
        (b"[" * 100_000, "Expected `object`, got `array`"),
        (
            b'{"user_id": "u", "candidates": ["a"], "context": {"x": ' + b"[" * 50_000,
            "it is nested too deeply",
        ),
    ],
)
def test_bytes_that_are_no_call_are_refused(served: Served, body: bytes, message: str) -> None:
    reply = served.http.post("/v1/rank", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 400
    assert message in reply.json()["error"]["message"]


def test_another_content_type_is_refused_by_name(served: Served) -> None:
    reply = served.http.post("/v1/rank", data={"user_id": "u"})
    assert reply.status_code == 415
    message = reply.json()["error"]["message"]
    assert message.startswith(
        "content-type: got 'application/x-www-form-urlencoded'; allowed: application/json"
    )


def test_without_a_model_nothing_is_ranked(tmp_path: Path) -> None:
    with serving(tmp_path, has_model=False) as service:
        ready, reply = service.http.get("/health/ready"), service.http.post("/v1/rank", json=CALL)
        assert service.http.get("/health/live").status_code == 200
    assert ready.status_code == reply.status_code == 503
    assert "there is no model yet" in ready.json()["error"]["message"]
    assert reply.json()["error"]["code"] == "not_ready"
    assert reply.headers["retry-after"] == "1"


def test_rankings_with_one_score_are_counted_and_told(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        call = {"user_id": "u", "candidates": ["a", "b", "c"]}
        served.http.post("/v1/rank", json=call)
        served.http.post("/v1/rank", json={**call, "candidates": ["a"]})
        assert served.http.get("/v1/status").json()["alarms"] == []
        score = served.engine._parameters.score
        served.engine._parameters.score = lambda rows: score(rows) * 0 + np.float32(1e-6)  # type: ignore[method-assign]
        for _ in range(80):
            reply = served.http.post("/v1/rank", json=call).json()
        assert reply["items"] == call["candidates"]
        status = served.http.get("/v1/status").json()
        assert status["tied_rankings"] == served.metric("easq_tied_rankings_total") == 80
        assert "of the recent rankings have one score for all candidates" in status["alarms"][0]
