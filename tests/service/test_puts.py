"""Updates of items and viewers: each entry on its own, once, and read by the next ranking."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from easq.log.events import PROFILES, ItemUpdate, ViewerUpdate
from easq.log.ids import stable_id
from easq.log.packing import pack_floats, pack_ids
from tests.support.http_service import Served, serving


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as service:
        yield service


def put(served: Served, *entries: Any, kind: str = "items") -> list[dict[str, Any]]:
    reply = served.http.put(f"/v1/{kind}", json={kind: entries})
    assert reply.status_code == 200, reply.text
    body = reply.json()
    statuses = [result["status"] for result in body["results"]]
    assert (statuses.count("accepted"), statuses.count("refused")) == (body["accepted"], body["refused"])
    return body["results"]


def test_values_become_columns_of_the_log(served: Served) -> None:
    features = {"author_id": "kim", "topic": 7, "tags": ["a", -3], "duration_s": 12.5, "age_days": None}
    assert put(served, {"item_id": "i1", "features": features}) == [{"status": "accepted", "item_id": "i1"}]
    put(served, {"user_id": "u1", "features": {"segment": "new"}}, kind="users")
    item, viewer = sorted(served.logged(PROFILES), key=lambda e: e.user_id)
    assert isinstance(item, ItemUpdate)
    assert isinstance(viewer, ViewerUpdate)
    assert (item.item_id, item.user_id, viewer.user_id) == ("i1", "", "u1")
    assert item.values == {
        "author_id": pack_ids([stable_id("kim")]),
        "topic": pack_ids([7]),
        "tags": pack_ids([stable_id("a"), -3]),
        "duration_s": pack_floats([12.5]),
    }
    assert viewer.values == {"segment": pack_ids([stable_id("new")])}


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({"colour": "red"}, "features.colour: it is unknown; allowed of the candidate: item_id, author_id"),
        ({"segment": "new"}, "features.segment: it is a feature of the viewer; allowed of the candidate"),
        ({"recent_items": ["i"]}, "features.recent_items: the service computes it from events"),
        ({"author_id": 1.5}, "features.author_id: got 1.5; allowed: a text or an integer of 64 bits"),
        ({"author_id": 2**63}, "features.author_id: got 9223372036854775808; allowed"),
        ({"author_id": ["kim"]}, "features.author_id: got ['kim']; allowed: a text"),
        ({"tags": "one"}, "features.tags: got 'one'; allowed: a list, each a text or an integer"),
        ({"tags": ["x" * 500, 2**80]}, "...; allowed: a list"),
        ({"tags": [1] * 65536}, "features.tags: got 65536 values; allowed: 65535"),
        ({"duration_s": "long"}, "features.duration_s: got 'long'; allowed: a finite number of 32 bits"),
        ({"duration_s": 1e39}, "features.duration_s: got 1e+39; allowed: a finite number of 32 bits"),
        ({"duration_s": [1.0]}, "features.duration_s: got [1.0]; allowed"),
        ({"duration_s": True}, "features.duration_s: got True; allowed"),
        ({"topic": {"a": 1}}, "features.topic: expected `bool | int | float | str | array | null`, got"),
        ([], "features: expected `object`, got `array`"),
    ],
)
def test_a_refused_entry_leaves_nothing_and_harms_no_other(
    served: Served, features: Any, reason: str
) -> None:
    good = {"item_id": "good", "features": {"author_id": "kim"}}
    bad = {"item_id": "bad", "features": features}
    results = put(served, bad, good)
    assert results[1] == {"status": "accepted", "item_id": "good"}
    assert (results[0]["status"], results[0]["item_id"]) == ("refused", "bad")
    assert reason in results[0]["reason"]
    assert [e.item_id for e in served.logged(PROFILES) if isinstance(e, ItemUpdate)] == ["good"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"features": {}}, "missing required field `item_id`"),
        ({"item_id": "", "features": {}}, "item_id: expected `str` of length >= 1"),
        ({"item_id": "x" * 129}, "item_id: expected `str` of length <= 128"),
        ({"item_id": "a\nb"}, "item_id: holds a control character"),
        ({"item_id": 7}, "item_id: expected `str`, got `int`"),
        ({"item_id": "i", "author": "kim"}, "unknown field `author`"),
        ("i1", "Expected `object`, got `str`"),
    ],
)
def test_an_entry_that_names_no_item_is_refused(served: Served, entry: Any, reason: str) -> None:
    (result,) = put(served, entry)
    assert result["status"] == "refused"
    assert reason in result["reason"]
    assert not served.logged(PROFILES)


def test_what_is_known_already_is_not_logged_again(served: Served) -> None:
    entry = {"item_id": "i1", "features": {"author_id": "kim", "tags": ["a", "b", "more than is read"]}}
    for _ in range(3):
        put(served, entry)
    assert len(served.logged(PROFILES)) == 1
    put(served, {"item_id": "i1", "features": {"author_id": "lee"}})
    put(served, entry)
    assert len(served.logged(PROFILES)) == 3


def test_of_several_entries_for_one_item_the_last_stays(served: Served) -> None:
    old = {"item_id": "i1", "features": {"author_id": "kim"}}
    new = {"item_id": "i1", "features": {"author_id": "lee"}}
    put(served, old)
    put(served, new, old, old)
    last = served.logged(PROFILES)[-1]
    assert isinstance(last, ItemUpdate)
    assert last.values == {"author_id": pack_ids([stable_id("kim")])}
    assert len(served.logged(PROFILES)) == 3


def test_a_put_is_known_when_it_is_answered(served: Served) -> None:
    for n in range(50):
        put(served, {"item_id": f"i{n}", "features": {"author_id": n}})
        assert served.profiles.item_values(f"i{n}") == {"author_id": pack_ids([n])}


def test_messagepack_is_read_and_answered(served: Served) -> None:
    body = msgspec.msgpack.encode({"users": [{"user_id": "u1", "features": {"device": "tv"}}, 3]})
    reply = served.http.put("/v1/users", content=body, headers={"content-type": "application/msgpack"})
    assert reply.headers["content-type"] == "application/msgpack"
    content = msgspec.msgpack.decode(reply.content)
    assert [result["status"] for result in content["results"]] == ["accepted", "refused"]


def test_null_says_that_a_value_is_unknown_whatever_its_kind(served: Served) -> None:
    nothing = {"author_id": None, "tags": None, "duration_s": None}
    (result,) = put(served, {"item_id": "i", "features": nothing})
    assert result == {"status": "accepted", "item_id": "i"}
    columns = {name: [value] for name, value in nothing.items()}
    call = {"user_id": "u", "candidates": ["i"]}
    scores = [
        served.http.post("/v1/rank", json={**call, **more}).json()["scores"]
        for more in ({}, {"features": columns}, {"context": {"recent_items": None, "hour": None}})
    ]
    assert scores[0] == scores[1] == scores[2]
