"""From playing to the tap, as a viewer sees it."""

from playwright.sync_api import BrowserContext, expect

from tests.support.player_page import open_stage
from tests.support.scripted_service import StandIn


def test_a_viewer_who_watched_is_asked_once_and_one_tap_answers(
    context: BrowserContext, service: StandIn
) -> None:
    stage = open_stage(context, service.url, {"session": "s1", "key": "easq_1_2"})
    assert service.calls == []
    stage.see()
    stage.option("Not sure").click()
    expect(stage.question).to_contain_text("Thanks, noted.")
    expect(stage.question).to_have_count(0)
    assert [call.verb for call in service.calls] == ["offer", "shown", "answer"]
    (offer,) = service.bodies("offer")
    assert {key: offer[key] for key in ("user_id", "request_id", "item_id", "session_id", "locale")} == {
        "user_id": "ann",
        "request_id": "r1",
        "item_id": "cats",
        "session_id": "s1",
        "locale": "en",
    }
    assert offer["play_ms"] >= 500
    assert 0 < offer["ratio"] < 0.5
    (answer,) = service.bodies("answer")
    assert (answer["token"], answer["option"]) == ("token-1", "uncertain")
    assert answer["took_ms"] > 0
    assert {call.authorization for call in service.calls} == {"Bearer easq_1_2"}
    assert stage.errors == []
