"""Events of a platform: each is accepted or refused alone, with a reason, and logged once."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any

import msgspec
import pytest

from easq.log.events import Answered, Asked, Behavior
from easq.log.packing import unpack_floats
from tests.service.test_log_down import held
from tests.support.http_service import Served, serving

VIEW = {"user_id": "u1", "request_id": "r1"}
SEEN = {"type": "behavior", "event_id": "e1", **VIEW, "items": ["a", "b"], "values": {"like": [1, 0.5]}}
ASKED = {
    "type": "asked",
    "event_id": "e2",
    **VIEW,
    "item_id": "a",
    "question": "satisfaction",
    "propensity": 0.25,
}
ANSWERED = {**ASKED, "type": "answered", "event_id": "e3", "option": "satisfied"}
MINUTE_MS = 60_000


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as service:
        yield service


def send(served: Served, *events: Any) -> list[dict[str, Any]]:
    reply = served.http.post("/v1/events", json={"events": events})
    assert reply.status_code == 200, reply.text
    body = reply.json()
    statuses = [result["status"] for result in body["results"]]
    assert (statuses.count("accepted"), statuses.count("refused")) == (body["accepted"], body["refused"])
    return body["results"]


def now_ms() -> int:
    return int(time.time() * 1000)


def test_every_event_type_is_logged_as_it_was_sent(served: Served) -> None:
    before = now_ms()
    results = send(served, SEEN, {**ASKED, "ts": before - 5}, ANSWERED)
    assert results == [{"status": "accepted", "event_id": f"e{n}"} for n in (1, 2, 3)]
    seen, asked, answered = sorted(served.logged(), key=lambda e: e.event_id)
    assert isinstance(seen, Behavior)
    assert isinstance(asked, Asked)
    assert isinstance(answered, Answered)
    assert (seen.request_id, seen.items) == ("r1", ["a", "b"])
    assert unpack_floats(seen.values["like"]).tolist() == [1, 0.5]
    assert (asked.ts, asked.item_id, asked.question, asked.propensity) == (
        before - 5,
        "a",
        "satisfaction",
        0.25,
    )
    assert (answered.option, answered.propensity) == ("satisfied", 0.25)
    assert before <= seen.ts <= now_ms()


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (
            {**SEEN, "values": {"likes": [1, 0]}},
            "values: unknown behavior 'likes'; allowed: click, comment, ",
        ),
        ({**SEEN, "values": {"like": [1]}}, "values.like: got 1 numbers for 2 items; allowed: 2"),
        (
            {**SEEN, "values": {"like": [1, 1e39]}},
            "values.like: allowed are finite numbers from -1e+12 to 1e+12",
        ),
        ({**SEEN, "values": {"like": [1, -3.4e38]}}, "values.like: allowed are finite numbers from -1e"),
        ({**SEEN, "values": {"like": ["1", 0]}}, "expected `float`, got `str`"),
        ({**SEEN, "values": {"like": [True, 0]}}, "expected `float`, got `bool`"),
        ({**SEEN, "items": ["a", "a"]}, "items: an item is in it twice"),
        ({**SEEN, "items": [], "values": {}}, "items: expected `array` of length >= 1"),
        ({**SEEN, "items": ["a", "b\x00"]}, "items: holds a control character"),
        ({**SEEN, "event_id": "r1"}, "event_id: got 'r1', which is its request_id; allowed: one of its own"),
        ({**SEEN, "request_id": ""}, "request_id: expected `str` of length >= 1"),
        ({**SEEN, "user_id": "x" * 129}, "user_id: expected `str` of length <= 128"),
        ({**SEEN, "event_id": "a\x7fb"}, "event_id: holds a control character"),
        ({**SEEN, "ts": "now"}, "ts: expected `int | null`, got `str`"),
        ({**SEEN, "when": 1}, "unknown field `when`"),
        ({**SEEN, "type": "seen"}, "type: invalid value 'seen'"),
        ({k: v for k, v in SEEN.items() if k != "event_id"}, "missing required field `event_id`"),
        ({**ASKED, "question": "mood"}, "question: got 'mood'; allowed: satisfaction"),
        ({**ASKED, "propensity": 0}, "propensity: expected `float` > 0.0"),
        ({**ASKED, "propensity": 1.01}, "propensity: expected `float` <= 1.0"),
        ({**ASKED, "option": "satisfied"}, "unknown field `option`"),
        ({**ANSWERED, "option": "great"}, "option: got 'great'; allowed: dissatisfied, uncertain, satisfied"),
        (3, "Expected `object`, got `int`"),
    ],
)
def test_a_bad_event_is_refused_with_its_reason_and_the_others_stay(
    served: Served, event: Any, reason: str
) -> None:
    first, last = {**SEEN, "event_id": "first"}, {**ANSWERED, "event_id": "last"}
    results = send(served, first, event, last)
    assert [result["status"] for result in results] == ["accepted", "refused", "accepted"]
    assert reason in results[1]["reason"]
    assert sorted(e.event_id for e in served.logged()) == ["first", "last"]


def answers_of(served: Served, num: int, user: str = "u1", **more: Any) -> list[dict[str, Any]]:
    """Rank for a viewer, and return answers about items of which the model knows no author."""
    items = [f"{user}.{n}" for n in range(num)]
    served.http.post("/v1/rank", json={"user_id": user, "candidates": items})
    return [
        {**ANSWERED, "event_id": f"a{n}", "user_id": user, "request_id": f"r{n}", "item_id": item} | more
        for n, item in enumerate(items)
    ]


@pytest.mark.parametrize("calls", [1, 40])
def test_answers_of_a_platforms_own_questionnaire_are_weighed(served: Served, calls: int) -> None:
    """Those of one call by each other, and those of calls that come at once, too."""
    answers = answers_of(served, 40)
    size = 40 // calls
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: send(served, *answers[n * size : (n + 1) * size]), range(calls)))
    logged = [e for e in served.logged() if isinstance(e, Answered)]
    assert len(logged) == 40
    flags = Counter(flag for event in logged for flag in event.flags)
    assert flags["daily_limit"] == 30
    assert flags["burst"] == 37
    assert sum(event.weight for event in logged) < 3 + 7 * 0.2 + 1e-6


def test_answers_that_were_not_new_do_not_count_again(served: Served) -> None:
    first, *_, last = answers_of(served, 9)
    for _ in range(30):
        send(served, first, {**first, "option": "dissatisfied"})
        sleep(0.01)
    with held(Path(served.log._path).parent):
        assert served.http.post("/v1/events", json={"events": [last]}).status_code == 503
    send(served, last)
    assert [e.flags for e in served.logged() if isinstance(e, Answered)] == [[], []]


def test_answers_about_what_the_viewer_was_not_shown_are_refused(served: Served) -> None:
    call = {"user_id": "u1", "candidates": list("abcdef"), "limit": 2}
    ranked = served.http.post("/v1/rank", json=call).json()
    shown, hidden = ranked["items"][0], min(set("abcdef") - set(ranked["items"]))
    view = {"request_id": ranked["request_id"]}
    results = send(
        served,
        {**ANSWERED, **view, "item_id": hidden},
        {**ASKED, **view, "item_id": "z"},
        {**ANSWERED, **view, "item_id": shown, "user_id": "u2"},
        {**ANSWERED, **view, "item_id": shown},
    )
    assert [r["status"] for r in results] == ["refused"] * 3 + ["accepted"]
    assert results[0]["reason"] == (
        f"item_id: got {hidden!r}, but the item is not among those that the ranking returned and logged "
        "(service.log_top); allowed: a view of this viewer's ranking"
    )
    assert "the ranking was another viewer's" in results[2]["reason"]
    assert served.metric('easq_events_refused_total{reason="view"}') == 3


def test_times_far_off_the_server_clock_are_refused(served: Served) -> None:
    """The join would drop the old ones; the new ones would close every window of their partition."""
    now = now_ms()
    results = send(
        served,
        {**SEEN, "event_id": "soon", "ts": now + 20_000},
        {**SEEN, "event_id": "future", "ts": now + 60_000},
        {**SEEN, "event_id": "young", "ts": now - 64 * MINUTE_MS},
        {**SEEN, "event_id": "old", "ts": now - 66 * MINUTE_MS},
    )
    assert [r["event_id"] for r in results if r["status"] == "accepted"] == ["soon", "young"]
    assert (
        "in the future by the server's clock; allowed: 30 s (service.clock_skew_seconds)"
        in results[1]["reason"]
    )
    assert (
        "66 minutes ago; allowed: 65 minutes (join.answer_window and join.lateness)" in results[3]["reason"]
    )


def test_an_event_sent_again_is_accepted_again_and_logged_once(served: Served) -> None:
    for _ in range(3):
        assert [r["status"] for r in send(served, SEEN, SEEN, ANSWERED)] == ["accepted"] * 3
    assert len(served.logged()) == 2


def test_an_id_is_its_viewers_and_says_one_thing(served: Served) -> None:
    """Ids are made on devices: two viewers may have the same. What is acknowledged is on the log."""
    send(served, SEEN, ANSWERED)
    theirs = [{**event, "user_id": "u2", "request_id": "r2"} for event in (SEEN, ANSWERED)]
    assert [r["status"] for r in send(served, *theirs, *theirs)] == ["accepted"] * 4
    assert sorted((e.user_id, e.event_id) for e in served.logged()) == [
        (user, name) for user in ("u1", "u2") for name in ("e1", "e3")
    ]
    others = [
        {**SEEN, "values": {"like": [0, 1]}},
        {**SEEN, "request_id": "r9"},
        {**ANSWERED, "event_id": "e1"},
        {**ANSWERED, "option": "dissatisfied"},
        {**ANSWERED, "propensity": 0.5},
    ]
    results = send(served, {**SEEN, "event_id": "new"}, *others, ANSWERED)
    assert [r["status"] for r in results] == ["accepted", *["refused"] * 5, "accepted"]
    assert results[1]["reason"] == (
        "event_id: got 'e1', under which the log holds another event of viewer 'u1'; "
        "allowed: one of its own, or the same event again"
    )
    assert len(served.logged()) == 5
    assert served.metric('easq_events_refused_total{reason="id_taken"}') == 5
    assert served.metric('easq_events_accepted_total{type="answered"}') == 4


@pytest.mark.parametrize("letter", "oqadi")
def test_ids_of_the_services_own_asks_are_refused(served: Served, letter: str) -> None:
    (refused,) = send(served, {**SEEN, "event_id": letter + 12 * "0f"})
    assert "a name of the service's own asks; allowed: any other" in refused["reason"]
    assert send(served, {**SEEN, "event_id": 12 * "0f"})[0]["status"] == "accepted"


def test_messagepack_distinguishes_nan_from_a_number(served: Served) -> None:
    nan = float("nan")
    events = [
        SEEN,
        {**SEEN, "event_id": "n", "values": {"like": [nan, 0.0]}},
        {**ASKED, "propensity": nan},
        {**SEEN, 7: "x"},
    ]
    body = msgspec.msgpack.encode({"events": events})
    reply = served.http.post("/v1/events", content=body, headers={"content-type": "application/x-msgpack"})
    content = msgspec.msgpack.decode(reply.content)
    assert [r["status"] for r in content["results"]] == ["accepted", "refused", "refused", "refused"]
    assert "finite" in content["results"][1]["reason"]


def test_refusals_are_counted_by_kind(served: Served) -> None:
    send(served, SEEN, {**SEEN, "ts": 5}, {**ANSWERED, "option": "x"}, {**ANSWERED, "option": "y"}, None)
    assert served.metric('easq_events_accepted_total{type="behavior"}') == 1
    assert served.metric('easq_events_refused_total{reason="too_old"}') == 1
    assert served.metric('easq_events_refused_total{reason="option"}') == 2
    assert served.metric('easq_events_refused_total{reason="malformed"}') == 1


def test_an_empty_batch_is_no_fault(served: Served) -> None:
    assert send(served) == []


def test_nothing_was_watched_for_longer_than_events_may_take(tmp_path: Path) -> None:
    windows = "join.answer_window=60.0", "join.lateness=1.0"
    with serving(tmp_path, 'metrics.watch="long_view"', *windows) as served:
        values = ([0, 3_660_000], [700, 1e9], [-1, 5], [float(3_660_001), 0])
        events = [
            {**SEEN, "event_id": f"e{n}", "values": {"long_view": pair}} for n, pair in enumerate(values)
        ]
        results = send(served, *events)
    assert [result["status"] for result in results] == ["accepted", "refused", "refused", "refused"]
    assert results[1]["reason"] == (
        "values.long_view: got 1e+09 ms; allowed: 0 to 3660000, the time that a ranking's events may take "
        "(join.answer_window and join.lateness)"
    )
