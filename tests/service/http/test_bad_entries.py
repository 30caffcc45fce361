"""One entry of a batch that is no JSON is refused by itself and by name; the others are taken."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from easq.log.events import PROFILES, Behavior
from easq.service.http.batch_entries import entries_of
from tests.support.http_service import Served, serving

# Each is written by some encoder: JavaScript, Python, printf, a cut in the middle of a character.
NOT_JSON = [
    r'"x\ud83d"',
    r'"\ude00x"',
    r'"\ud83d\ud83d"',
    "NaN",
    "-Infinity",
    "nan",
    "01",
    "1.",
    "undefined",
    '"\x01"',
    r'"\x"',
    "'x'",
    "{,}",
    "[1,]",
    "",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("home")) as service:
        yield service


def sent(served: Served, method: str, path: str, text: str | bytes) -> Any:
    reply = served.http.request(method, path, content=text, headers={"content-type": "application/json"})
    return reply.status_code, reply.json()


@pytest.mark.parametrize("value", NOT_JSON)
def test_a_bad_value_refuses_its_item_and_not_the_batch(served: Served, value: str) -> None:
    before = sum(served.log.end_offsets(PROFILES))
    bad = '{"item_id": "b", "features": {"tags": ' + value + "}}"
    first, last = (json.dumps({"item_id": f"{time.time_ns()}{n}"}) for n in range(2))
    status, reply = sent(served, "PUT", "/v1/items", f'{{"items": [{first}, {bad}, {last}]}}')
    assert (status, reply["accepted"], reply["refused"]) == (200, 2, 1), reply
    refused = reply["results"][1]
    assert (refused["status"], refused["item_id"]) == ("refused", "b")
    assert "tags" in refused["reason"] or value == ""
    assert sum(served.log.end_offsets(PROFILES)) == before + 2


def test_the_same_holds_for_viewers_and_events(served: Served) -> None:
    users = r'{"users": [{"user_id": "u\ud83d"}, {"user_id": "v"}]}'
    status, reply = sent(served, "PUT", "/v1/users", users)
    assert (status, [r["status"] for r in reply["results"]]) == (200, ["refused", "accepted"])
    event = '{"type": "behavior", "event_id": "%s", "user_id": "%s", "request_id": "r", "items": ["a"]%s}'
    entries = [
        event % ("n1", r"u\ud83d", ""),
        event % ("n2", "u, ]}", ""),
        event % ("n3", "u", ', "values": {"like": [NaN]}'),
        event % ("n4", r"u\"\\", ""),
    ]
    status, reply = sent(served, "POST", "/v1/events", f'{{"events": [{",".join(entries)}]}}')
    assert [(r["event_id"], r["status"]) for r in reply["results"]] == [
        ("n1", "refused"),
        ("n2", "accepted"),
        ("n3", "refused"),
        ("n4", "accepted"),
    ]
    assert '"items": ["a"], "values": {"like": [NaN]}' in reply["results"][2]["reason"]
    assert "allowed is JSON: no NaN" in reply["results"][2]["reason"]
    logged = [event for event in served.logged() if isinstance(event, Behavior)]
    assert sorted(event.user_id for event in logged) == ['u"\\', "u, ]}"]


def test_bytes_that_are_no_text_refuse_their_entry(served: Served) -> None:
    body = b'{"users": [{"user_id": "\xf0\x9f"}, {"user_id": "w"}]}'
    status, reply = sent(served, "PUT", "/v1/users", body)
    assert (status, [r["status"] for r in reply["results"]]) == (200, ["refused", "accepted"])


@pytest.mark.parametrize(
    "body",
    [
        '{"items": [NaN',
        '{"items": [NaN}',
        '{"items": [{"a": [NaN}, {"b": 1}]}',
        '{"items": [NaN]} x',
        '{"items": [NaN], "more": 1}',
        '{"other": [NaN]}',
        "[NaN]",
        '{"items": [' + "," * 200_000 + "]}",
    ],
)
def test_a_batch_whose_form_is_broken_is_refused_whole(served: Served, body: str) -> None:
    status, reply = sent(served, "PUT", "/v1/items", body)
    assert (status, reply["error"]["code"]) == (400, "invalid")


@pytest.mark.parametrize("text", [r"\"" * 2_000_000, '"' * 4_000_000, "[" * 4_000_000, "[]" * 2_000_000])
def test_entries_are_cut_in_linear_time(text: str) -> None:
    start = time.process_time()
    entries_of(b'{"items": [{"a": "' + text.encode(), "items")
    entries_of(b'{"items": [{"a": ' + text.encode(), "items")
    assert time.process_time() - start < 10


def test_what_is_cut_apart_is_what_stood_there() -> None:
    entries = [{"a": ["]", "}", ","]}, [1, [2, {"b": '\\"'}]], "x,y", 3, {}]
    body = json.dumps({"items": entries}).encode()
    cut = entries_of(body, "items")
    assert cut is not None
    assert [json.loads(bytes(entry)) for entry in cut] == entries
