"""Malformed bytes get a clear 4xx, nothing is logged, and the service continues."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from easq.log.events import EVENTS, PROFILES
from tests.support.http_service import Served, serving

ROUTES = {
    "/v1/rank": (
        "POST",
        {
            "user_id": "u1",
            "candidates": ["a", "b"],
            "limit": 1,
            "context": {"hour": 3, "recent_items": ["a", 4]},
            "features": {"duration_s": [1.0, None], "author_id": ["kim", 3], "tags": [["x", 4], []]},
        },
    ),
    "/v1/events": (
        "POST",
        {
            "events": [
                {
                    "type": "answered",
                    "event_id": "e1",
                    "user_id": "u1",
                    "request_id": "r1",
                    "item_id": "a",
                    "question": "satisfaction",
                    "option": "satisfied",
                    "propensity": 0.5,
                }
            ]
        },
    ),
    "/v1/items": ("PUT", {"items": [{"item_id": "i1", "features": {"author_id": "kim", "tags": ["x"]}}]}),
    "/v1/users": ("PUT", {"users": [{"user_id": "u1", "features": {"segment": "new"}}]}),
}
CLEAR = {"invalid", "too_large", "unsupported_media_type"}

anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=10), children, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, bytes, str]:
    """Draw a route and a body that it cannot take: noise, or a good call with a wound."""
    path = draw(st.sampled_from(sorted(ROUTES)))
    kind = draw(st.sampled_from(["noise", "cut", "flipped", "wrong", "value", "unknown", "missing"]))
    is_json = draw(st.booleans())
    good = ROUTES[path][1]
    data = encoded(good, is_json)
    if kind == "noise":
        data = draw(st.binary(max_size=60))
    elif kind == "cut":
        data = data[: draw(st.integers(0, len(data) - 1))]
    elif kind == "flipped":
        place = draw(st.integers(0, len(data) - 1))
        data = data[:place] + bytes([data[place] ^ draw(st.integers(1, 255))]) + data[place + 1 :]
    elif kind == "wrong":
        field = draw(st.sampled_from(sorted(good)))
        data = encoded({**good, field: draw(anything)}, is_json)
    elif kind == "value":
        path, good = "/v1/rank", ROUTES["/v1/rank"][1]
        field = draw(st.sampled_from(["context", "features"]))
        name = draw(st.sampled_from(sorted(good[field])))
        value = draw(anything | st.lists(anything, min_size=2, max_size=2) | st.binary(max_size=16))
        if isinstance(value, bytes) and is_json:
            value = value.hex()
        data = encoded({**good, field: {**good[field], name: value}}, is_json)
    elif kind == "unknown":
        data = encoded({**good, draw(st.text(min_size=1, max_size=10)): draw(anything)}, is_json)
    else:
        data = encoded({}, is_json)
    return path, data, "application/json" if is_json else "application/msgpack"


def encoded(value: Any, is_json: bool) -> bytes:
    return json.dumps(value).encode() if is_json else msgspec.msgpack.encode(value)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("home"), "service.log_wait_seconds=30") as service:
        yield service


def ends(served: Served) -> list[int]:
    return [*served.log.end_offsets(EVENTS), *served.log.end_offsets(PROFILES)]


def hold(served: Served, num: int) -> None:
    @given(bodies())
    @settings(max_examples=num, database=None, suppress_health_check=list(HealthCheck))
    def holds(body: tuple[str, bytes, str]) -> None:
        path, data, content_type = body
        before = ends(served)
        headers = {"content-type": content_type, "accept": "application/json"}
        reply = served.http.request(ROUTES[path][0], path, content=data, headers=headers)
        if reply.status_code == 200:
            # A wound may leave another good call; in a batch it is refused by itself.
            content = reply.json()
            added = content.get("accepted", 1)
            assert sum(ends(served)) <= sum(before) + added
            return
        assert 400 <= reply.status_code < 500, reply.text
        error = reply.json()["error"]
        assert error["code"] in CLEAR
        assert error["message"]
        assert ends(served) == before

    holds()
    assert served.http.post("/v1/rank", json=ROUTES["/v1/rank"][1]).status_code == 200


def test_malformed_bodies_are_refused_in_words(served: Served) -> None:
    hold(served, 300)


@pytest.mark.slow
def test_ten_thousand_malformed_bodies(served: Served) -> None:
    hold(served, 10_000)


@pytest.mark.parametrize(
    "value", [{(): 1}, {(1, 2): 1}, msgspec.msgpack.Ext(5, b"x"), datetime.now(UTC), b"x", 1 << 63]
)
def test_what_only_messagepack_can_say_is_refused(served: Served, value: Any) -> None:
    entry = {"item_id": "i", "features": {"author_id": value}}
    calls = {
        "/v1/rank": {"user_id": "u", "candidates": ["a"], "context": {"hour": value}},
        "/v1/items": {"items": [entry, value]},
        "/v1/events": {"events": [{"event_id": "e", "values": value}, value]},
    }
    for path, call in calls.items():
        headers = {"content-type": "application/msgpack", "accept": "application/json"}
        content = msgspec.msgpack.encode(call)
        reply = served.http.request(ROUTES[path][0], path, content=content, headers=headers)
        assert reply.status_code in (200, 400), reply.text
        assert reply.status_code == 400 or reply.json()["accepted"] == 0


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/items", b"\x81\xa5items\x91\x81\x80\x01"), ("/v1/rank", b"\x81\x80\x01")]
)
def test_maps_as_keys_of_maps_are_refused(served: Served, path: str, body: bytes) -> None:
    headers = {"content-type": "application/msgpack", "accept": "application/json"}
    reply = served.http.request(ROUTES[path][0], path, content=body, headers=headers)
    assert reply.status_code == 400 or reply.json()["refused"] == 1


@pytest.mark.parametrize("depth", [100, 300, 500, 700, 900, 1000, 5000])
def test_lists_in_lists_of_any_depth_are_refused(served: Served, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    calls = {
        "/v1/rank": '{"user_id": "u", "candidates": ["a"], "context": {"hour": %s}}',
        "/v1/items": '{"items": [{"item_id": "i", "features": {"tags": %s}}]}',
        "/v1/events": '{"events": [{"event_id": "e", "values": %s}]}',
    }
    for path, text in calls.items():
        headers = {"content-type": "application/json"}
        reply = served.http.request(ROUTES[path][0], path, content=text % deep, headers=headers)
        assert reply.status_code in (200, 400), reply.text
        assert reply.status_code == 400 or reply.json()["refused"] == 1
