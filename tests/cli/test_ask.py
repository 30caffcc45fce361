"""`easq ask explain` as an operator meets it."""

import json
import time
from pathlib import Path

import pytest

from easq.ask.state import Asks
from easq.ask.token import read_secret
from easq.ask.view import View
from easq.home.home import open_home
from easq.log.events import EVENTS, PROFILES, Answered, ItemUpdate, Request
from easq.log.packing import pack_ids
from tests.cli.test_cli import easq
from tests.support.small_worlds import small_recipe


def test_a_view_is_explained_gate_by_gate(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home", small_recipe("ask.rate=1.0"))
    now_ms = time.time_ns() // 1_000_000 - 9000
    served = Request(event_id="r1", user_id="u", ts=now_ms, items=["a", "b"], viewer={}, candidates={})
    asks = Asks(home.recipe, read_secret(home.secret_path))
    asks.observe([served])
    with home.open_events() as log:
        log.append(EVENTS, [served])
        command = ("ask", "explain", "--home", home.folder, "--user", "u", "--item")
        body = json.loads(easq(*command, "a", "--json").stdout)
        assert (body["show"], body["request_id"], body["propensity"]) == (True, "r1", 1.0)
        log.append(EVENTS, [asks.decide(View("u", "r1", "a", 8000.0, 0.0), now_ms)])
        again = json.loads(easq(*command, "a", "--json").stdout)
        assert (again["reason"], again["decided"]) == ("view", "asked")
        other = json.loads(easq(*command, "b", "--json").stdout)
        assert (other["reason"], other["rate"], other["chance_open"]) == ("cool_down", 1.0, 0.0)
        assert [gate["name"] for gate in other["gates"] if not gate["open"]] == ["cool_down", "session"]
        short = easq(*command, "b", "--play-ms", "100", "--ratio", "0.1")
        assert "it would not be asked: eligible" in short.stdout, short.stderr
        unknown = json.loads(easq(*command, "z", "--json").stdout)
        assert unknown["reason"] == "unknown_view"


def test_an_adaptive_view_is_explained_with_what_is_known_of_its_author(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home", small_recipe('ask.policy="adaptive"', "ask.rate=0.5"))
    now_ms = time.time_ns() // 1_000_000 - 9000
    served = Request(event_id="r1", user_id="u", ts=now_ms, items=["a"], viewer={}, candidates={})
    items = [
        ItemUpdate(
            event_id=f"t{item}", user_id=item, item_id=item, ts=now_ms, values={"author_id": pack_ids([7])}
        )
        for item in "ab"
    ]
    answer = Answered(
        event_id="e",
        user_id="v",
        ts=now_ms,
        request_id="r0",
        item_id="b",
        question="satisfaction",
        option="satisfied",
        propensity=0.1,
    )
    with home.open_events() as log:
        log.append(PROFILES, items)
        log.append(EVENTS, [served, answer])
    command = ("ask", "explain", "--home", home.folder, "--user", "u", "--item", "a")
    body = json.loads(easq(*command, "--json").stdout)
    assert body["teaching"]["group"] == f"author {pack_ids([7]).hex()}"
    assert body["teaching"]["belief"] == [pytest.approx(1.0, abs=1e-3), 0.0]
    assert 0.125 <= body["rate"] <= 0.5
    words = " ".join(easq(*command).stdout.split())
    assert "1 answers of others are remembered, 1 of them good" in words


def test_where_nothing_was_ranked_there_is_nothing_to_explain(tmp_path: Path) -> None:
    open_home(tmp_path / "home", small_recipe())
    refused = easq("ask", "explain", "--home", tmp_path / "home", "--user", "u", "--item", "a")
    assert (refused.returncode, "nothing was ranked" in refused.stderr) == (2, True)
