"""Vectors in calls: as lists, as base64 and as raw bytes; on the log as served; refused by name."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import easq
from easq.log.events import PROFILES, ItemUpdate, Request, ViewerUpdate
from tests.support.dense_world import with_dense
from tests.support.http_service import Served, serving

ITEMS = ["a", "b", "c"]
CONTENT = np.arange(24, dtype="<f4").reshape(3, 8) - 7
MSGPACK = {"content-type": "application/msgpack", "accept": "application/json"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, "method.kind=probe", change=with_dense) as service:
        yield service


def rank(served: Served, content: Any, **other: Any) -> Any:
    call = {"user_id": "u", "candidates": ITEMS, "features": {"content": content}, **other}
    return served.http.post("/v1/rank", content=msgspec.msgpack.encode(call), headers=MSGPACK)


def logged_content(served: Served) -> dict[str, list[float]]:
    """Return the vectors of the newest ranking, by item."""
    event = [event for event in served.logged() if isinstance(event, Request)][-1]
    vectors = np.frombuffer(event.candidates["content"], "<f4").reshape(len(event.items), 8)
    return dict(zip(event.items, vectors.tolist(), strict=True))


def test_vectors_of_items_and_viewers_are_stored_and_read_by_the_next_ranking(served: Served) -> None:
    packed = CONTENT[1].tobytes()
    entries = [
        {"item_id": "a", "features": {"content": CONTENT[0].tolist(), "loudness": 3, "seconds": 9.5}},
        {"item_id": "b", "features": {"content": base64.b64encode(packed).decode()}},
        {"item_id": "c", "features": {"content": None}},
    ]
    assert served.http.put("/v1/items", json={"items": entries}).json()["accepted"] == 3
    unknown = np.full(8, np.nan, "<f4").tobytes()
    nothing = {"items": [{"item_id": "c", "features": {"content": unknown}}]}
    reply = served.http.put("/v1/items", content=msgspec.msgpack.encode(nothing), headers=MSGPACK)
    assert reply.json()["accepted"] == 1
    again = {"items": [{"item_id": "b", "features": {"content": packed}}]}
    reply = served.http.put("/v1/items", content=msgspec.msgpack.encode(again), headers=MSGPACK)
    assert reply.json()["accepted"] == 1
    users = {"users": [{"user_id": "u", "features": {"taste": [1, 2, 3], "age": 30}}]}
    assert served.http.put("/v1/users", json=users).json()["accepted"] == 1
    updates = [event for event in served.logged(PROFILES) if isinstance(event, ItemUpdate)]
    assert len(updates) == 3  # the bytes of b were known already, and that c has none
    assert updates[0].values["content"] == CONTENT[0].tobytes()
    assert "content" not in updates[2].values
    call = {"user_id": "u", "candidates": ITEMS}
    assert served.http.post("/v1/rank", json=call).status_code == 200
    event = next(event for event in served.logged() if isinstance(event, Request))
    assert np.frombuffer(event.viewer["taste"], "<f4").tolist() == [1, 2, 3]
    found = logged_content(served)
    assert (found["a"], found["b"]) == (CONTENT[0].tolist(), CONTENT[1].tolist())
    assert np.isnan(found["c"]).all()


def test_vectors_of_a_call_come_in_every_form_and_go_before_what_is_stored(served: Served) -> None:
    rows = [CONTENT[0].tolist(), CONTENT[1].tobytes(), CONTENT[2].tolist()]
    replies = [rank(served, content) for content in (rows, CONTENT.tobytes(), CONTENT.tolist())]
    in_json = [rows[0], base64.b64encode(rows[1]).decode(), rows[2]]
    call = {"user_id": "u", "candidates": ITEMS, "features": {"content": in_json}}
    replies.append(served.http.post("/v1/rank", json=call))
    assert [reply.status_code for reply in replies] == [200] * 4
    assert logged_content(served) == dict(zip(ITEMS, CONTENT.tolist(), strict=True))
    scores = [dict(zip(r.json()["items"], r.json()["scores"], strict=True)) for r in replies]
    assert scores[0] == scores[1] == scores[2] == scores[3]
    own = {"taste": np.array([3, 2, 1], "<f4").tobytes()}
    assert rank(served, [None] * 3, context=own).status_code == 200
    event = [event for event in served.logged() if isinstance(event, Request)][-1]
    assert np.frombuffer(event.viewer["taste"], "<f4").tolist() == [3, 2, 1]
    assert np.isnan(list(logged_content(served).values())).all()


def test_what_is_no_vector_is_refused_by_name_and_the_rest_is_taken(served: Served) -> None:
    nan = CONTENT.copy()
    nan[1, 2] = np.nan
    for content, message in (
        ([CONTENT[0].tolist()] * 2, "features.content: got 2 values; allowed: one value for each of 3"),
        ([[1.0, 2.0]] * 3, "features.content: got 2 numbers; allowed: 8 finite numbers of 32 bits"),
        (nan.tobytes(), "features.content: got nan in a vector; allowed: 8 finite numbers"),
        (CONTENT.tobytes()[:-4], "features.content: got 92 bytes; allowed: 96, 32 for each of 3 vectors"),
        (7, "features.content"),
        ([[[1.0]] * 8] * 3, "features.content"),
    ):
        reply = rank(served, content)
        assert reply.status_code == 400, content
        assert message in reply.json()["error"]["message"]
    reply = rank(served, CONTENT.tolist(), context={"taste": [1, 2]})
    assert "context.taste: got 2 numbers; allowed: 3 finite" in reply.json()["error"]["message"]
    assert served.logged() == []
    entries = [
        {"item_id": "bad", "features": {"content": [1.0] * 7}},
        {"item_id": "good", "features": {"content": [1.0] * 8}},
        {"item_id": "number", "features": {"loudness": "AAAA"}},
    ]
    results = served.http.put("/v1/items", json={"items": entries}).json()["results"]
    assert [result["status"] for result in results] == ["refused", "accepted", "refused"]
    assert "features.content: got 7 numbers; allowed: 8 finite numbers" in results[0]["reason"]


def test_bytes_are_no_value_of_another_feature(served: Served) -> None:
    for name, value in (("author_id", b"kim"), ("tags", b"12345678"), ("loudness", b"1234")):
        entry = {"items": [{"item_id": "i", "features": {name: value}}]}
        reply = served.http.put("/v1/items", content=msgspec.msgpack.encode(entry), headers=MSGPACK)
        (result,) = reply.json()["results"]
        assert result["status"] == "refused", name
        assert f"features.{name}: expected" in result["reason"]
    for name in ("segment", "age"):
        reply = rank(served, CONTENT.tolist(), context={name: b"12345678"})
        assert reply.status_code == 400, name
        assert f"context.{name}: expected" in reply.json()["error"]["message"]


def test_the_schema_says_what_a_vector_is_and_its_example_is_taken(served: Served) -> None:
    text = str(served.http.get("/schema").json())
    assert "'minItems': 8, 'maxItems': 8" in text
    assert "'contentEncoding': 'base64', 'minLength': 44" in text


def test_the_client_sends_arrays_of_numpy_as_they_are(served: Served) -> None:
    unknown = CONTENT.copy()
    unknown[2] = np.nan
    with easq.Client(served.url) as client:
        client.put_users({"u": {"taste": np.array([1.0, 2.0, 3.0])}})
        client.put_items({"a": {"content": CONTENT[0]}, "b": {"content": CONTENT[1].tobytes()}})
        client.rank("u", ITEMS, features={"content": unknown})
        found = logged_content(served)
        assert (found["a"], found["b"]) == (CONTENT[0].tolist(), CONTENT[1].tolist())
        assert np.isnan(found["c"]).all()
        client.rank("u", ITEMS)
        assert logged_content(served)["b"] == CONTENT[1].tolist()
        client.rank("u", ITEMS, features={"content": [*CONTENT[:2], None]}, context={"taste": CONTENT[0, :3]})
        assert logged_content(served)["a"] == CONTENT[0].tolist()
    update = next(event for event in served.logged(PROFILES) if isinstance(event, ViewerUpdate))
    assert update.values["taste"] == np.array([1, 2, 3], "<f4").tobytes()
