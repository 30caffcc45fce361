"""Whatever a program holds, every verb of the client takes alike, or refuses by the field's name."""

from array import array
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from easq.log.events import PROFILES, Answered, Asked, Behavior, Offered, Request
from easq.service import call_values
from easq.service.client import Client
from easq.service.client_replies import ClientError
from tests.support.http_service import Served, serving

NAN = float("nan")
LISTS: list[Callable[[list[Any]], Any]] = [
    list,
    tuple,
    iter,
    np.array,
    pl.Series,
    lambda values: np.array(values, object),
    lambda values: dict.fromkeys(values).keys(),
    lambda values: (value for value in values),
]
NO_NUMBERS = [None, NAN, np.nan, np.float32("nan"), float("inf"), "1", b"1", [1], Decimal("nan"), pl.Null]
NO_IDS = [None, NAN, np.float64(5), 5.0, True, np.bool_(True), ["u"], b"u", Decimal(5)]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as service:
        yield service


@pytest.mark.parametrize("kind", LISTS)
def test_several_values_may_come_in_any_form(served: Served, kind: Callable[[list[Any]], Any]) -> None:
    with Client(served.url) as client:
        client.put_items({"a": {"tags": kind(["x", "y"])}})
        client.put_items({"a": {"tags": ["x", "y"]}})
        assert len(served.logged(PROFILES)) == 1
        plain = client.rank("u", ["a", "b"], features={"duration_s": [3.5, 4.5], "author_id": ["k", "l"]})
        features = {"duration_s": kind([3.5, 4.5]), "author_id": kind(["k", "l"])}
        other = client.rank("u", kind(["a", "b"]), features=features)
        assert (plain.items, plain.scores) == (other.items, other.scores)
        client.behavior("u", other.request_id, kind(["a", "b"]), {"like": kind([0.25, 1.0])})
        event = {"type": "behavior", "user_id": "u", "request_id": "r"}
        (outcome,) = client.send(
            [{**event, "items": kind(["a", "b"]), "values": {"like": kind([0.25, 1.0])}}]
        )
        assert outcome.is_accepted, outcome
    first, second = (event for event in served.logged() if isinstance(event, Behavior))
    assert (first.items, first.values) == (second.items, second.values)


@pytest.mark.parametrize("unknown", [None, NAN, np.nan, np.float32("nan"), np.float64("nan")])
def test_an_unknown_feature_is_unknown_in_every_verb(served: Served, unknown: Any) -> None:
    nothing = {"author_id": unknown, "duration_s": unknown, "tags": unknown}
    with Client(served.url) as client:
        client.put_items({"a": nothing})
        client.put_users({"u": {"segment": unknown}})
        plain = client.rank("u", ["a", "b"])
        columns = {name: [unknown, unknown] for name in nothing}
        ranked = client.rank("u", ["a", "b"], context={"hour": unknown}, features=columns)
        assert plain.scores == ranked.scores
        arrays = {name: np.array([unknown, None], object) for name in nothing}
        assert client.rank("u", ["a", "b"], features=arrays).scores == plain.scores


@pytest.mark.parametrize("user", [5, np.int64(5), np.uint8(5), np.str_("5"), "5"])
def test_an_integer_is_an_id_in_every_verb(served: Served, user: Any) -> None:
    with Client(served.url) as client:
        client.put_users({user: {}})
        client.put_items({user: {}})
        ranking = client.rank(user, [user, "b"])
        assert sorted(ranking.items) == ["5", "b"]
        client.behavior(user, ranking.request_id, [user])
        client.asked(user, ranking.request_id, user, "satisfaction", np.float32(0.5))
        client.answered(user, ranking.request_id, user, "satisfaction", np.str_("satisfied"), Decimal("0.5"))
        client.offer(user, ranking.request_id, user, play_ms=np.int64(9000), ratio=np.float32(1))
    logged = [e for e in served.logged() if isinstance(e, Request | Behavior | Asked | Answered | Offered)]
    assert {event.user_id for event in logged} == {"5"}


def calls(client: Client, user: Any) -> list[Callable[[], Any]]:
    """Return a call of every verb that names a viewer."""
    return [
        lambda: client.put_users({"good": {}, **({} if isinstance(user, list) else {user: {}})}),
        lambda: client.rank(user, ["a"]),
        lambda: client.behavior(user, "r", ["a"]),
        lambda: client.asked(user, "r", "a", "satisfaction", 0.5),
        lambda: client.answered(user, "r", "a", "satisfaction", "satisfied", 0.5),
        lambda: client.offer(user, "r", "a", play_ms=1),
    ]


@pytest.mark.parametrize("user", NO_IDS, ids=repr)
def test_what_is_no_id_is_refused_by_name_in_every_verb(served: Served, user: Any) -> None:
    with Client(served.url) as client:
        for call in calls(client, user)[isinstance(user, list) :]:
            with pytest.raises(ClientError, match=r"user_id: got .*; allowed: a text or an integer"):
                call()
        with pytest.raises(ClientError, match=r"candidates: got .*; allowed: a text or an integer"):
            client.rank("u", ["a", user])
    assert {getattr(event, "user_id", "") for event in served.logged(PROFILES)} <= {"good"}


@pytest.mark.parametrize("wrong", NO_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused_by_name_in_every_verb(served: Served, wrong: Any) -> None:
    with Client(served.url, retries=0) as client:
        verbs: dict[str, Callable[[], Any]] = {
            "values.like": lambda: client.behavior("u", "r", ["a"], {"like": [wrong]}),
            "propensity": lambda: client.asked("u", "r", "a", "satisfaction", wrong),
            "play_ms": lambda: client.offer("u", "r", "a", play_ms=wrong),
            "ratio": lambda: client.offer("u", "r", "a", play_ms=1, ratio=wrong),
            "took_ms": lambda: client.answer("token", "satisfied", took_ms=wrong),
        }
        if wrong is not None:
            verbs["limit"] = lambda: client.rank("u", ["a"], limit=wrong)
            verbs["ts"] = lambda: client.behavior("u", "r", ["a"], ts=wrong)
        for name, call in verbs.items():
            with pytest.raises(ClientError, match=f"{name}: got .*; allowed: a (finite|whole) number"):
                call()
    assert served.logged() == []


@pytest.mark.parametrize("wrong", [object(), np.datetime64("2026-01-01"), 1 + 2j, {"a": object()}], ids=repr)
def test_what_has_no_meaning_is_refused_by_name(served: Served, wrong: Any) -> None:
    with Client(served.url) as client:
        with pytest.raises(ClientError, match=r"features.topic.*: got .*; allowed"):
            client.put_items({"a": {"topic": wrong}})
        with pytest.raises(ClientError, match=r"features.topic.*: got .*; allowed"):
            client.rank("u", ["a"], features={"topic": [wrong]})
        with pytest.raises(ClientError, match=r"context.hour.*: got .*; allowed"):
            client.rank("u", ["a"], context={"hour": wrong})


def test_a_bad_entry_of_a_batch_is_refused_alone(served: Served) -> None:
    event = {"type": "behavior", "user_id": "u", "request_id": "r", "items": ["a"]}
    bad: list[Any] = [
        {**event, "values": {"like": [None]}},
        {**event, "user_id": NAN},
        {**event, "items": None},
        {**event, "event_id": None},
        {**event, "user_id": "\ud83d"},
        {**event, "other": object()},
        None,
    ]
    with Client(served.url) as client:
        outcomes = client.send(entry for wrong in bad for entry in (event, wrong))
        assert [outcome.is_accepted for outcome in outcomes] == [True, False] * len(bad)
        reasons = [outcome.reason for outcome in outcomes[1::2]]
        with pytest.raises(ClientError, match=r"1 of 3 refused: b: features.tags: got"):
            client.put_items({"a": {}, "b": {"tags": object()}, "c": {}})
    names = ("values.like", "user_id", "items", "event_id", "", "other", "it: got None")
    assert all(reason.startswith(name) for reason, name in zip(reasons, names, strict=True)), reasons
    assert len(served.logged()) == len(bad)
    assert len(served.logged(PROFILES)) == 0 or {"a", "c"} == {e.item_id for e in served.logged(PROFILES)}


def test_other_containers_of_numbers_are_taken(served: Served) -> None:
    with Client(served.url) as client:
        plain = client.rank("u", ["a", "b"], features={"duration_s": [3.0, 90.0]})
        for column in (array("f", [3, 90]), bytearray(array("f", [3, 90]).tobytes()), (3, np.int8(90))):
            assert client.rank("u", ["a", "b"], features={"duration_s": column}).scores == plain.scores


def test_what_a_mask_hides_is_unknown(served: Served) -> None:
    hidden = np.ma.MaskedArray([1.5, 2.5], mask=[False, True])
    assert call_values.plain(hidden, "x") == [1.5, None]
    assert call_values.plain(np.ma.masked, "x") is None
    texts = np.ma.MaskedArray(["a", "b"], mask=[True, False])
    assert call_values.plain({"x": texts}, "y") == {"x": [None, "b"]}
    with Client(served.url) as client, pytest.raises(ClientError, match="a finite number"):
        client.behavior("u", "r", ["a", "b"], {"like": hidden})


@pytest.mark.parametrize("wrong", [[1, 2], "abc", 3, np.zeros(2)])
def test_what_is_no_mapping_is_refused_by_name(served: Served, wrong: Any) -> None:
    with Client(served.url) as client:
        for field, call in (
            ("context", lambda: client.rank("u", ["a"], context=wrong)),
            ("features", lambda: client.rank("u", ["a"], features=wrong)),
            ("values", lambda: client.behavior("u", "r", ["a"], wrong)),
            ("item_id", lambda: client.put_items(wrong)),
            ("user_id", lambda: client.put_users(wrong)),
        ):
            with pytest.raises(ClientError, match=f"{field}.*allowed: a mapping"):
                call()
