"""What operators see: health, metrics, status, log lines."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from easq.ask.checkpoint import AsksFile
from easq.ask.state import Asks
from easq.features.profiles import Profiles
from easq.home.home import open_home
from easq.home.process_log import lines_to_stderr
from easq.home.snapshots import State
from easq.learn.trainer import Trainer
from easq.log.events import EVENTS, UPDATES, Delta, Event, delta_checksum
from easq.log.packing import pack_ids
from easq.rank.engine import Engine
from easq.rank.parameters import Parameters
from easq.rank.replica import Replica
from easq.service.http.keys import Keys, create_key
from easq.service.service import LiveService
from tests.support.http_service import a_client, a_model, running, serving, until
from tests.support.small_worlds import small_recipe

RANK = {"user_id": "u1", "candidates": ["a", "b"]}


def test_requests_are_counted_by_route_and_status(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        for _ in range(3):
            served.http.post("/v1/rank", json=RANK)
        served.http.post("/v1/rank", json={})
        served.http.get("/v1/rank")
        served.http.get("/no/such/path")
        count = "easq_http_request_seconds_count"
        assert served.metric(f'{count}{{route="/v1/rank",status="200"}}') == 3
        assert served.metric(f'{count}{{route="/v1/rank",status="400"}}') == 1
        assert served.metric(f'{count}{{route="/v1/rank",status="405"}}') == 1
        assert served.metric(f'{count}{{route="other",status="404"}}') == 1
        assert served.metric("easq_rankings_total") == 3
        assert served.metric("easq_candidates_total") == 6
        status = served.http.get("/v1/status").json()
        assert (status["ready"], status["reason"], status["rankings"]) == (True, "", 3)
        assert status["version"] == "v000000000000"
        assert status["freshness_seconds"] is None


def test_two_apps_of_one_process_count_apart(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with serving(tmp_path / "one") as one, serving(tmp_path / "two") as two:
        one.http.post("/v1/rank", json=RANK)
        assert (one.metric("easq_rankings_total"), two.metric("easq_rankings_total")) == (1, 0)


def test_unknown_paths_and_methods_have_the_same_error_form(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        nowhere, wrong = served.http.get("/v2/rank"), served.http.delete("/v1/items")
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert "PUT" in wrong.headers["allow"]


def test_log_lines_are_json_and_hold_no_key(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    token = create_key(tmp_path / "keys.json", "server", "")
    lines_to_stderr(logging.DEBUG)
    try:
        with serving(tmp_path, token=token) as served:
            served.http.post("/v1/rank", json=RANK)
            served.http.post("/v1/rank", json={"user_id": "somebody"})
            served.http.post("/v1/rank", json=RANK, headers={"authorization": f"Bearer {token}x"})
    finally:
        lines_to_stderr(logging.CRITICAL)
    text = capfd.readouterr().err
    lines = [json.loads(line) for line in text.splitlines()]
    ranks = [line for line in lines if line["event"] == "request" and line["route"] == "/v1/rank"]
    assert [(line["status"], line["key"]) for line in ranks] == [
        (200, token.split("_")[1]),
        (400, token.split("_")[1]),
        (401, ""),
    ]
    assert all(line["ms"] > 0 for line in ranks)
    refused = [line["code"] for line in lines if line["event"] == "refused"]
    assert refused == ["invalid", "unauthorized"]
    assert token.split("_", 2)[2] not in text
    assert "somebody" not in text


def test_an_internal_error_is_a_bare_500_and_a_full_log_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as served:
        monkeypatch.setattr(served.engine, "rank", lambda *_: 1 / 0)
        lines_to_stderr(logging.ERROR)
        try:
            reply = served.http.post("/v1/rank", json=RANK)
        finally:
            lines_to_stderr(logging.CRITICAL)
    assert reply.status_code == 500
    message = "this is a fault of the service; its log says more"
    assert reply.json() == {"error": {"code": "internal", "message": message}}
    (line,) = [json.loads(text) for text in capfd.readouterr().err.splitlines()]
    assert (line["event"], line["path"]) == ("a request failed", "/v1/rank")
    assert "ZeroDivisionError" in line["exception"]


def test_the_model_comes_and_its_updates_are_counted(tmp_path: Path) -> None:
    """A learner's first version makes the service ready; its delta changes scores and freshness."""
    home = open_home(tmp_path / "home", small_recipe())
    recipe = home.recipe
    with home.open_events() as log, home.open_updates() as updates:
        profiles, parameters = Profiles.of(recipe, log.partitions(EVENTS)), Parameters(recipe)
        engine = Engine(recipe, profiles, parameters, 20, 5)
        service = LiveService.build(
            home,
            log,
            engine,
            profiles,
            Keys(home.keys_path),
            secret=bytes(32),
            follow_updates=lambda hand, applied: Replica(home, updates, parameters, hand, applied),
        )
        with running(service) as (url, _), a_client(url) as http:
            assert http.get("/health/ready").status_code == 503
            state = Trainer(recipe, 1).learner.state()
            home.versions.save(3, state, {"seq": 3})
            until(lambda: http.get("/health/ready").status_code == 200)
            before = http.post("/v1/rank", json=RANK).json()
            assert before["version"] == "v000000000003"
            about = {"user_id": "u1", "request_id": before["request_id"], "item_id": before["items"][0]}
            about |= {"question": "satisfaction", "propensity": 0.5, "option": "satisfied"}
            answer = {"type": "answered", "event_id": "a", **about}
            assert http.post("/v1/events", json={"events": [answer]}).json()["accepted"] == 1
            assert http.get("/v1/status").json()["freshness_seconds"] is None
            delta = a_delta(state, after=3, until=log.end_offsets(EVENTS))
            updates.append(
                UPDATES, [delta, msgspec.structs.replace(delta, event_id="x", seq=5, after=4, checksum=0)]
            )
            until(lambda: http.post("/v1/rank", json=RANK).json()["version"] == "v000000000004")
            after = http.post("/v1/rank", json=RANK).json()
            assert sorted(after["scores"]) != sorted(before["scores"])
            until(lambda: "easq_updates_refused_total 1.0" in http.get("/metrics").text)
            text = http.get("/metrics").text
            assert "easq_updates_applied_total 1.0" in text
            assert 'easq_model_info{version="v000000000004"} 1.0' in text
            assert 0 < http.get("/v1/status").json()["freshness_seconds"] < 60


@pytest.mark.parametrize("is_faulty", [False, True])
def test_a_state_that_read_half_of_a_chunk_is_not_saved(
    tmp_path: Path, is_faulty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(tmp_path / "home", small_recipe())
    recipe = home.recipe
    ingest = Asks.ingest

    def half(asks: Asks, partition: int, start: int, events: Sequence[Event]) -> None:
        ingest(asks, partition, start, events[:1])
        raise ZeroDivisionError("a fault")

    with home.open_events() as log:
        profiles = Profiles.of(recipe, log.partitions(EVENTS))
        engine = Engine(recipe, profiles, a_model(recipe), 20, 5)
        file, keys = AsksFile(home.asks_path, recipe), Keys(home.keys_path)
        service = LiveService.build(home, log, engine, profiles, keys, secret=bytes(32), asks_file=file)
        with running(service) as (url, _), a_client(url) as http:
            until(lambda: http.get("/health/ready").status_code == 200)
            if is_faulty:
                monkeypatch.setattr(Asks, "ingest", half)
            assert http.post("/v1/rank", json=RANK).status_code == 200
            until(lambda: http.get("/health/ready").status_code == (503 if is_faulty else 200))
        monkeypatch.undo()
        assert file.read(Asks(recipe, bytes(32)), log.end_offsets(EVENTS)) is not is_faulty


def a_delta(state: State, after: int, until: list[int]) -> Delta:
    rows, width = pack_ids([1, 2]), state["table"]["weight"].shape[1]
    values = np.ones((2, width), "<f4").tobytes()
    dense = {name: (value + 0.01).astype("<f4").tobytes() for name, value in state["dense"].items()}
    return Delta(
        event_id=f"d{after}",
        user_id="",
        ts=1,
        seq=after + 1,
        after=after,
        rows=rows,
        values=values,
        dense=dense,
        until=until,
        newest_answer=0,
        checksum=delta_checksum(rows, values, dense),
    )
