"""The real service behind the question: what the viewer does is on its log, each thing once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, expect

from easq.log.events import Answered, Asked, Dismissed, Event, Ignored, Offered
from easq.service.http.keys import create_key
from tests.support.http_service import Served, serving, until
from tests.support.player_page import Stage, open_stage

OFTEN = (
    "ask.min_play_ms=500",
    "ask.min_ratio=1.0",
    "ask.cool_down_minutes=0.0",
    "ask.max_per_session=100",
    "ask.max_per_day=100",
)
PLATFORM = "http://localhost:8080"  # never connected to: its page comes from the test
KINDS = (Offered, Asked, Answered, Dismissed, Ignored)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, *OFTEN, "ask.rate=1.0") as service:
        yield service


def view(served: Served, user: str = "ann") -> dict[str, str]:
    """Return the attributes of the first item of a new ranking."""
    reply = served.http.post("/v1/rank", json={"user_id": user, "candidates": ["cats", "dogs"]}).json()
    return {"user": user, "request": reply["request_id"], "item": reply["items"][0]}


def is_asked(served: Served, attributes: dict[str, str]) -> bool:
    """Say whether a view will be asked about, once the service has heard of its ranking."""
    watched = {"play_ms": 600, "ratio": 0.1}
    call = {**watched, **{f"{name}_id": attributes[name] for name in ("user", "request", "item")}}
    replies: list[dict[str, Any]] = []

    def is_known() -> bool:
        replies.append(served.http.post("/v1/questionnaire/offer", json=call).json())
        return bool(replies[-1]["reason"] != "unknown_view")

    until(is_known)
    return bool(replies[-1]["show"])


def ask_events(served: Served) -> list[Event]:
    events = [event for event in served.logged() if isinstance(event, KINDS)]
    return sorted(events, key=lambda event: KINDS.index(type(event)))


def names(served: Served) -> list[str]:
    return [type(event).__name__ for event in ask_events(served)]


def ends(served: Served, stage: Stage) -> list[str]:
    """Return all events of the questionnaire once the viewer's outcome is there."""
    stage.until(lambda: len(names(served)) >= 3)
    return names(served)


def test_a_tap_is_an_answer_on_the_log_with_its_propensity(context: BrowserContext, tmp_path: Path) -> None:
    with serving(tmp_path, *OFTEN, "ask.rate=0.5") as served:
        # The same view gets the same decision, so one that will be asked can be found beforehand.
        for number in range(64):
            attributes = view(served, f"ann{number}")
            if is_asked(served, attributes):
                break
        stage = open_stage(context, served.url, attributes)
        stage.see()
        stage.option("Satisfied").click()
        expect(stage.question).to_have_count(0)
        mine = [event for event in ask_events(served) if event.user_id == attributes["user"]]
    assert [type(event) for event in mine] == [Offered, Asked, Answered]
    _, asked, answered = mine
    assert isinstance(asked, Asked)
    assert isinstance(answered, Answered)
    assert (asked.request_id, asked.item_id) == (attributes["request"], attributes["item"])
    assert asked.order == ["dissatisfied", "uncertain", "satisfied"]
    assert (asked.propensity, answered.propensity, answered.option) == (0.5, 0.5, "satisfied")
    assert answered.ask_id == asked.event_id
    assert answered.took_ms > 0
    assert stage.errors == []


def test_a_double_tap_is_one_answer(context: BrowserContext, served: Served) -> None:
    stage = open_stage(context, served.url, view(served))
    stage.see()
    stage.option("Satisfied").dblclick()
    expect(stage.question).to_have_count(0)
    assert names(served) == ["Offered", "Asked", "Answered"]


def test_the_keyboard_alone_answers(context: BrowserContext, served: Served) -> None:
    stage = open_stage(context, served.url, view(served))
    stage.see()
    for key in ("Tab", "ArrowRight", "Enter"):
        stage.page.keyboard.press(key)
    assert ends(served, stage) == ["Offered", "Asked", "Answered"]
    assert [event.option for event in ask_events(served) if isinstance(event, Answered)] == ["uncertain"]


def test_a_page_that_is_left_before_an_answer_is_ignored(context: BrowserContext, served: Served) -> None:
    stage = open_stage(context, served.url, view(served))
    stage.see()
    stage.page.goto("about:blank")
    assert ends(served, stage) == ["Offered", "Asked", "Ignored"]


def test_a_question_that_is_closed_is_dismissed(context: BrowserContext, served: Served) -> None:
    stage = open_stage(context, served.url, view(served))
    stage.see()
    stage.option("Close").click()
    assert ends(served, stage) == ["Offered", "Asked", "Dismissed"]


def test_two_tabs_of_one_view_are_asked_once(context: BrowserContext, served: Served) -> None:
    """Each tab asks for itself; the service has shown this view's question already."""
    attributes = view(served)
    first = open_stage(context, served.url, attributes)
    first.see()
    first.until(lambda: "Asked" in names(served))
    second = open_stage(context, served.url, attributes)
    with second.page.expect_response("**/offer") as reply:
        second.play()
    assert reply.value.json()["show"] is False
    expect(second.question).to_have_count(0)
    first.option("Satisfied").click()
    assert ends(served, first) == ["Offered", "Asked", "Answered"]


def test_a_viewer_s_key_is_enough_also_for_a_beacon(context: BrowserContext, tmp_path: Path) -> None:
    server, viewer = (create_key(tmp_path / "keys.json", scope, "") for scope in ("server", "viewer"))
    with serving(tmp_path, *OFTEN, "ask.rate=1.0", "ask.fade_seconds=0.5", token=server) as served:
        stage = open_stage(context, served.url, {**view(served), "key": viewer})
        stage.see()
        assert ends(served, stage) == ["Offered", "Asked", "Ignored"]
        assert stage.errors == []


def test_a_viewer_in_chinese_reads_chinese(context: BrowserContext, served: Served) -> None:
    stage = open_stage(context, served.url, view(served), html='lang="zh-CN"')
    stage.see()
    stage.option("满意").click()
    assert ends(served, stage) == ["Offered", "Asked", "Answered"]
    assert [event.locale[:2] for event in ask_events(served) if isinstance(event, Asked)] == ["zh"]


def test_a_page_of_another_origin_works_where_the_recipe_names_it(
    context: BrowserContext, tmp_path: Path
) -> None:
    """With a key, so that the browser asks the service beforehand; and a beacon, which it cannot ask for."""
    server, viewer = (create_key(tmp_path / "keys.json", scope, "") for scope in ("server", "viewer"))
    origins = f'ask.origins=["{PLATFORM}"]'
    with serving(tmp_path, *OFTEN, "ask.rate=1.0", origins, token=server) as served:
        attributes = {**view(served), "key": viewer}
        stage = open_stage(context, served.url, attributes, origin=PLATFORM)
        stage.see()
        stage.page.goto("about:blank")
        assert ends(served, stage) == ["Offered", "Asked", "Ignored"]
        assert stage.errors == []


def test_a_page_of_an_origin_that_is_not_named_shows_nothing(context: BrowserContext, served: Served) -> None:
    stage = open_stage(context, served.url, view(served), origin=PLATFORM)
    with stage.page.expect_event("requestfailed"):
        stage.play()
    expect(stage.question).to_have_count(0)
    assert not stage.video("return v.paused")
