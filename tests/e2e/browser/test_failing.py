"""The service is slow, wrong or gone: the player and its page never notice."""

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.support.player_page import Stage, open_stage
from tests.support.scripted_service import StandIn

NETWORK = "Failed to load resource"


def is_playing(stage: Stage) -> bool:
    before = stage.video("return v.currentTime")
    stage.until(lambda: stage.video("return v.currentTime") > before)
    return bool(stage.video("return !v.paused"))


def test_without_a_network_nothing_is_shown_and_nothing_breaks(
    context: BrowserContext, service: StandIn
) -> None:
    stage = open_stage(context, service.url)
    stage.video("v.currentTime = 0.1")
    context.set_offline(True)
    with stage.page.expect_event("requestfailed"):
        stage.play()
    assert is_playing(stage)
    expect(stage.question).to_have_count(0)
    assert all(NETWORK in error for error in stage.errors)


def test_an_offer_that_takes_too_long_is_not_shown_any_more(
    context: BrowserContext, service: StandIn
) -> None:
    service.may_answer.clear()
    stage = open_stage(context, service.url)
    with stage.page.expect_event("requestfailed"):
        stage.play()
    service.may_answer.set()
    assert is_playing(stage)
    expect(stage.question).to_have_count(0)
    assert [call.verb for call in service.calls] == ["offer"]
    assert stage.errors == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"7",
        b"<html>",
        b'{"show": true}',
        b'{"show": true, "token": "t", "question": {"options": []}}',
        b'{"show": true, "token": "t", "question": {"options": [null]}}',
        b'{"show": true, "token": 5, "question": {"options": [{"value": "a"}]}}',
        b'{"show": false, "reason": "quota", "question": null, "token": null}',
    ],
)
def test_an_unusable_reply_is_not_shown(context: BrowserContext, service: StandIn, raw: bytes) -> None:
    service.raw = raw
    stage = open_stage(context, service.url)
    with stage.page.expect_event("requestfinished"):
        stage.play()
    assert is_playing(stage)
    expect(stage.question).to_have_count(0)
    assert stage.errors == []


def test_a_refused_offer_is_not_repeated(context: BrowserContext, service: StandIn) -> None:
    service.statuses = {"offer": [503]}
    stage = open_stage(context, service.url)
    with stage.page.expect_event("requestfinished"):
        stage.play()
    assert is_playing(stage)
    assert [call.verb for call in service.calls] == ["offer"]
    assert all(NETWORK in error for error in stage.errors)


def test_an_answer_that_was_not_acknowledged_is_sent_again(context: BrowserContext, service: StandIn) -> None:
    service.statuses = {"answer": [503, 429]}
    stage = open_stage(context, service.url)
    stage.see()
    stage.option("Satisfied").click()
    stage.until(lambda: len(service.bodies("answer")) == 3)
    first, second, third = service.bodies("answer")
    assert first == second == third


def test_a_refused_answer_is_not(context: BrowserContext, service: StandIn) -> None:
    service.statuses = {"answer": [409]}
    stage = open_stage(context, service.url)
    stage.see()
    stage.option("Satisfied").click()
    expect(stage.question).to_have_count(0)
    stage.page.wait_for_timeout(1500)
    assert len(service.bodies("answer")) == 1


def test_an_answer_on_its_way_when_the_page_is_left_is_sent_once_more(
    context: BrowserContext, service: StandIn
) -> None:
    stage = open_stage(context, service.url)
    stage.see()
    stage.until(lambda: service.bodies("shown"))
    service.may_answer.clear()
    stage.option("Satisfied").click()
    stage.until(lambda: service.bodies("answer"))
    stage.page.goto("about:blank")
    stage.until(lambda: len(service.bodies("answer")) == 2)
    first, second = service.bodies("answer")
    assert first == second
    assert service.bodies("ignored") == []


def test_missing_fields_of_the_service_have_defaults(context: BrowserContext, service: StandIn) -> None:
    bare = {"name": "satisfaction", "version": "1", "text": "", "thanks": ""}
    options = [{"value": "satisfied"}, {"value": "other"}]
    service.offer = {"question": {**bare, "options": options}, "locale": "zh-CN"}
    stage = open_stage(context, service.url)
    stage.see()
    expect(stage.question).to_contain_text("你对这个视频满意吗")
    assert stage.question.locator(".option").all_inner_texts() == ["满意", "other"]
    expect(stage.question.locator(".close")).to_have_attribute("aria-label", "关闭")
    stage.option("满意").click()
    expect(stage.question).to_contain_text("谢谢")
