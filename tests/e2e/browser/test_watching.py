"""What counts as watching. Every test compares what the offer says with the video's own clock."""

import pytest
from playwright.sync_api import BrowserContext, expect

from easq.recipe.questionnaire import AskSettings
from tests.support.player_page import Stage, open_stage
from tests.support.scripted_service import StandIn

NEVER = 1e9


def offered(stage: Stage, service: StandIn) -> tuple[float, float]:
    stage.until(lambda: service.bodies("offer"))
    (offer,) = service.bodies("offer")
    return offer["play_ms"], offer["ratio"]


def reached(stage: Stage, seconds: float) -> None:
    stage.until(lambda: stage.video("return v.currentTime") >= seconds)


def test_a_paused_video_does_not_count(context: BrowserContext, service: StandIn) -> None:
    service.rule = AskSettings(min_play_ms=1500.0, min_ratio=1.0)
    stage = open_stage(context, service.url)
    stage.play()
    reached(stage, 0.5)
    stage.video("v.pause()")
    stage.page.wait_for_timeout(1500)
    assert service.calls == []
    stage.play()
    play_ms, _ = offered(stage, service)
    assert 1500 <= play_ms < 2400


def test_a_hidden_tab_does_not_count(context: BrowserContext, service: StandIn) -> None:
    service.rule = AskSettings(min_play_ms=1500.0, min_ratio=1.0)
    stage = open_stage(context, service.url)
    stage.play()
    reached(stage, 0.5)
    stage.hide(True)
    reached(stage, 3.0)
    assert service.calls == []
    stage.hide(False)
    play_ms, _ = offered(stage, service)
    at_ms = 1000 * stage.video("return v.currentTime")
    assert play_ms <= at_ms - 1500


def test_seeking_does_not_count(context: BrowserContext, service: StandIn) -> None:
    """After the jump to the 12th of 20 seconds, less than a tenth was watched."""
    service.rule = AskSettings(min_play_ms=1500.0)
    stage = open_stage(context, service.url)
    stage.play()
    reached(stage, 0.3)
    stage.video("v.currentTime = 12")
    reached(stage, 12.2)
    assert service.calls == []
    play_ms, ratio = offered(stage, service)
    assert 1500 <= play_ms < 4000
    assert ratio < 0.2


def test_a_loop_counts_on_and_the_ratio_stays_a_ratio(context: BrowserContext, service: StandIn) -> None:
    service.rule = AskSettings(min_play_ms=NEVER, min_ratio=1.0)
    stage = open_stage(context, service.url, {"duration": "0.5"}, video="muted loop")
    stage.video("v.currentTime = 19.5")
    stage.play()
    play_ms, ratio = offered(stage, service)
    assert play_ms >= 500
    assert ratio == 1


def test_half_of_a_short_video_is_enough(context: BrowserContext, service: StandIn) -> None:
    service.rule = AskSettings(min_play_ms=NEVER, min_ratio=0.05)
    stage = open_stage(context, service.url)
    stage.video("v.playbackRate = 2")
    stage.play()
    play_ms, ratio = offered(stage, service)
    assert 0.05 <= ratio < 0.2
    assert ratio * 20_000 == pytest.approx(2 * play_ms, rel=0.01, abs=2)


def test_the_defaults_are_seven_seconds_and_half(context: BrowserContext, service: StandIn) -> None:
    service.rule = AskSettings()
    stage = open_stage(context, service.url)
    progress = "(ms, ratio) => document.querySelector('easq-question').progress(ms, ratio)"
    stage.page.evaluate(f"({progress})(6999, 0.499)")
    assert service.calls == []
    stage.page.evaluate(f"({progress})(0, 0.5)")
    assert offered(stage, service) == (6999, 0.5)
    stage.page.evaluate(f"({progress})(8000, 0.9)")
    expect(stage.question).to_be_visible()
    assert len(service.bodies("offer")) == 1
    assert stage.errors == []


def test_a_video_that_comes_later_is_watched_too(context: BrowserContext, service: StandIn) -> None:
    """Players of frameworks are often built after the element stands, and put a new video in."""
    stage = open_stage(context, service.url, {"for": "later"})
    stage.play()
    stage.page.evaluate(
        """() => { const old = document.querySelector('video'), made = old.cloneNode();
                   made.id = 'later'; made.muted = true; old.replaceWith(made); made.play() }"""
    )
    assert offered(stage, service)[0] >= 500
    assert stage.errors == []


def test_the_next_view_is_counted_from_nothing(context: BrowserContext, service: StandIn) -> None:
    stage = open_stage(context, service.url)
    stage.see()
    stage.widget.evaluate("w => { w.setAttribute('request', 'r2'); w.setAttribute('item', 'dogs') }")
    stage.until(lambda: len(service.bodies("offer")) == 2)
    stage.until(lambda: service.bodies("ignored"))
    first, second = service.bodies("offer")
    assert (second["request_id"], second["item_id"]) == ("r2", "dogs")
    assert 500 <= second["play_ms"] < first["play_ms"] + 1000
    assert [body["token"] for body in service.bodies("ignored")] == ["token-1"]


def test_nothing_is_asked_before_the_view_has_its_names(context: BrowserContext, service: StandIn) -> None:
    stage = open_stage(context, service.url, {"request": ""})
    stage.play()
    reached(stage, 1.0)
    assert service.calls == []
    stage.widget.evaluate("w => w.setAttribute('request', 'r9')")
    offered(stage, service)
    assert service.bodies("offer")[0]["request_id"] == "r9"
