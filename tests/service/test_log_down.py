"""The log cannot be written, really: another process holds it, or the disk gives no more room."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from easq.log.base import LogError
from easq.log.events import EVENTS, Answered, Asked, Dismissed, Offered
from easq.log.ids import stable_id
from easq.log.packing import pack_ids
from tests.support.http_service import Served, serving, until
from tests.support.questionnaire_calls import ALWAYS, a_token, ask_events, report

RANK = {"user_id": "u1", "candidates": ["a", "b"]}
SEEN = {"type": "behavior", "event_id": "e1", "user_id": "u1", "request_id": "r1", "items": ["a"]}
ITEM = {"item_id": "i1", "features": {"author_id": "kim"}}

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the log's write lock in another process."""
    command = [sys.executable, "-c", HOLD, str(folder / "events.log")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.communicate("\n")


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Let no file of this process grow: SQLite finds the disk full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def call_all(served: Served) -> list[tuple[int, str]]:
    replies = [
        served.http.post("/v1/rank", json=RANK),
        served.http.post("/v1/events", json={"events": [SEEN]}),
        served.http.put("/v1/items", json={"items": [ITEM]}),
    ]
    assert all(reply.headers.get("retry-after") == "1" for reply in replies if reply.status_code == 503)
    return [(reply.status_code, reply.json().get("error", {}).get("code", "")) for reply in replies]


@pytest.mark.parametrize("trouble", [held, full])
def test_only_logged_events_are_acknowledged(tmp_path: Path, trouble: object) -> None:
    with serving(tmp_path) as served:
        assert call_all(served) == [(200, "")] * 3
        before = served.log.end_offsets(EVENTS)
        with trouble(tmp_path):  # type: ignore[operator]
            changed = {**ITEM, "features": {"author_id": "lee"}}
            assert served.http.put("/v1/items", json={"items": [changed]}).status_code == 503
            reply = served.http.post("/v1/rank", json=RANK)
            assert reply.status_code == 503
            assert "the log could not be written: cannot append to" in reply.json()["error"]["message"]
            new = {**SEEN, "event_id": "e2"}
            assert served.http.post("/v1/events", json={"events": [new]}).status_code == 503
            assert served.http.get("/health/live").status_code == 200
            assert served.log.end_offsets(EVENTS) == before
        assert served.metric('easq_log_failures_total{doing="append"}') == 3
        assert served.profiles.item_values("i1") == {"author_id": pack_ids([stable_id("kim")])}
        assert call_all(served) == [(200, "")] * 3
        assert served.http.post("/v1/events", json={"events": [new]}).json()["accepted"] == 1
        assert [e.event_id for e in served.logged() if e.event_id in ("e1", "e2")].count("e2") == 1


def test_a_log_that_does_not_answer_in_time_is_named_as_such(tmp_path: Path) -> None:
    with serving(tmp_path, "service.log_wait_seconds=0.05") as served:
        with held(tmp_path):
            reply = served.http.post("/v1/rank", json=RANK)
            assert reply.status_code == 503
            message = "the log did not answer within 0.05 s (service.log_wait_seconds)"
            assert message in reply.json()["error"]["message"]
        until(lambda: served.http.post("/v1/rank", json=RANK).status_code == 200)


def test_an_operator_may_choose_to_serve_and_it_is_counted(tmp_path: Path) -> None:
    with serving(tmp_path, "service.when_log_is_down=serve", "service.log_wait_seconds=0.2") as served:
        assert served.http.post("/v1/rank", json=RANK).json()["logged"] is True
        with held(tmp_path):
            for _ in range(20):
                reply = served.http.post("/v1/rank", json=RANK)
                assert reply.status_code == 200
                assert reply.json()["logged"] is False
                assert sorted(reply.json()["items"]) == ["a", "b"]
            assert served.http.post("/v1/events", json={"events": [SEEN]}).status_code == 503
        assert served.metric("easq_unlogged_rankings_total") == 20
        assert served.metric('easq_log_failures_total{doing="append"}') < 20, (
            "a log that is down is left alone"
        )
        until(lambda: served.http.post("/v1/rank", json=RANK).json()["logged"])


def test_a_failed_reading_is_counted_and_retried(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        read = served.log.read

        def fail(*_: object) -> None:
            raise LogError("the disk does not answer")

        served.log.read = fail  # type: ignore[method-assign, assignment]
        reply = served.http.put("/v1/items", json={"items": [ITEM]})
        served.log.read = read  # type: ignore[method-assign]
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "not_applied")
        assert served.metric('easq_log_failures_total{doing="follow"}') >= 1
        until(lambda: served.profiles.item_values("i1") is not None)
        assert served.http.put("/v1/items", json={"items": [ITEM]}).status_code == 200


def test_while_the_log_cannot_be_written_the_service_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as served:
        with held(tmp_path):
            assert served.http.post("/v1/rank", json=RANK).status_code == 503
            reply = served.http.get("/health/ready")
            assert reply.status_code == 503
            assert "the log could not be written" in reply.json()["error"]["message"]
            status = served.http.get("/v1/status").json()
            assert (status["ready"], "the log could not" in status["reason"]) == (False, True)
            # After a while it says so no longer, or no balancer would send what could find it well again.
            monkeypatch.setattr("easq.service.log_writer._DOWN_S", 0.0)
            assert served.http.get("/health/ready").status_code == 200
            monkeypatch.undo()
            assert served.http.post("/v1/rank", json=RANK).status_code == 503
            assert served.http.get("/health/ready").status_code == 503
        assert served.http.post("/v1/rank", json=RANK).status_code == 200
        assert served.http.get("/health/ready").status_code == 200


def test_a_service_that_serves_without_a_log_stays_ready(tmp_path: Path) -> None:
    with serving(tmp_path, "service.when_log_is_down=serve") as served, held(tmp_path):
        assert served.http.post("/v1/rank", json=RANK).json()["logged"] is False
        assert served.http.get("/health/ready").status_code == 200


@pytest.mark.parametrize("trouble", [held, full])
@pytest.mark.parametrize(
    ("verb", "more", "kind"), [("answer", {"option": "dissatisfied"}, Answered), ("dismiss", {}, Dismissed)]
)
def test_a_word_that_could_not_be_written_binds_nobody(
    tmp_path: Path, trouble: Any, verb: str, more: dict[str, str], kind: type
) -> None:
    with serving(tmp_path, *ALWAYS) as served:
        token, other = a_token(served), a_token(served)
        with trouble(tmp_path):
            assert report(served, "shown", token)[0] == 503
            assert report(served, "answer", token, option="satisfied") == (503, "log_unavailable")
            assert report(served, "answer", other, option="satisfied") == (503, "log_unavailable")
        assert report(served, verb, token, **more) == (200, "accepted")
        assert report(served, "answer", token, option="satisfied") == (409, "used")
        # The same word again is taken as before.
        assert report(served, "answer", other, option="satisfied") == (200, "accepted")
        events = ask_events(served)
    assert [type(event) for event in events].count(kind) == 1 + (kind is Answered)
    assert {type(event) for event in events} == {Offered, Asked, Answered, kind}


def test_a_word_that_may_still_be_written_lets_no_other_overtake_it(tmp_path: Path) -> None:
    """A write that has begun goes on after its reply, which gave up waiting."""
    with serving(tmp_path, *ALWAYS, "service.log_wait_seconds=0.1") as served:
        token = a_token(served)
        with held(tmp_path):
            assert report(served, "answer", token, option="satisfied") == (503, "log_unavailable")
            assert report(served, "answer", token, option="dissatisfied") == (503, "log_unavailable")
        until(lambda: report(served, "answer", token, option="dissatisfied")[0] != 503)
        written = {event.option for event in ask_events(served) if isinstance(event, Answered)}
        last = report(served, "answer", token, option="dissatisfied")
    assert (written, last) in [({"satisfied"}, (409, "used")), ({"dissatisfied"}, (200, "counted before"))]
