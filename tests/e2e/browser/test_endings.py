"""How a question ends, each way reported once."""

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.support.player_page import open_stage
from tests.support.scripted_service import StandIn

SOON = {"fade_ms": 400}


def verbs(service: StandIn) -> list[str]:
    return sorted(call.verb for call in service.calls)


def test_a_double_tap_counts_once_and_never_reaches_the_player(
    context: BrowserContext, service: StandIn
) -> None:
    script = "document.querySelector('.player').addEventListener('click', () => document.title += '!')"
    stage = open_stage(context, service.url, script=script)
    stage.see()
    stage.option("Satisfied").dblclick()
    stage.option("Dissatisfied").click(force=True)
    expect(stage.question).to_have_count(0)
    assert verbs(service) == ["answer", "offer", "shown"]
    assert service.bodies("answer")[0]["option"] == "satisfied"
    assert stage.page.title() == "stage"


def test_a_question_that_nobody_answers_fades_and_is_ignored(
    context: BrowserContext, service: StandIn
) -> None:
    service.offer = SOON
    stage = open_stage(context, service.url, {"key": "easq_1_2"})
    stage.see()
    expect(stage.question).to_have_count(0)
    stage.until(lambda: service.bodies("ignored"))
    (call,) = [call for call in service.calls if call.verb == "ignored"]
    assert call.body["token"] == "token-1"
    assert call.body["took_ms"] >= 400
    # A beacon cannot carry a header, and may only be plain text without asking first.
    assert (call.body["key"], call.authorization) == ("easq_1_2", "")
    assert call.content_type.startswith("text/plain")
    assert verbs(service) == ["ignored", "offer", "shown"]


def test_the_close_button_dismisses(context: BrowserContext, service: StandIn) -> None:
    stage = open_stage(context, service.url)
    stage.see()
    stage.option("Close").click()
    expect(stage.question).to_have_count(0)
    assert verbs(service) == ["dismiss", "offer", "shown"]


def test_a_page_that_is_left_reports_ignored(context: BrowserContext, service: StandIn) -> None:
    stage = open_stage(context, service.url)
    stage.see()
    stage.page.goto("about:blank")
    stage.until(lambda: service.bodies("ignored"))
    assert verbs(service) == ["ignored", "offer", "shown"]


def test_a_player_that_is_taken_away_reports_ignored_but_a_moved_one_does_not(
    context: BrowserContext, service: StandIn
) -> None:
    stage = open_stage(context, service.url)
    stage.see()
    stage.page.evaluate("document.body.append(document.querySelector('.player'))")
    expect(stage.question).to_be_visible()
    assert service.bodies("ignored") == []
    stage.page.evaluate("document.querySelector('.player').remove()")
    stage.until(lambda: service.bodies("ignored"))
    assert verbs(service) == ["ignored", "offer", "shown"]


def test_a_question_for_a_hidden_tab_waits_until_it_is_seen(
    context: BrowserContext, service: StandIn
) -> None:
    service.may_answer.clear()
    stage = open_stage(context, service.url)
    stage.play()
    stage.until(lambda: service.bodies("offer"))
    stage.hide(True)
    with stage.page.expect_response("**/offer"):
        service.may_answer.set()
    expect(stage.question).to_have_count(0)
    assert service.bodies("shown") == []
    stage.hide(False)
    expect(stage.question).to_be_visible()
    stage.until(lambda: service.bodies("shown"))


def test_two_tabs_ask_each_for_itself(context: BrowserContext, service: StandIn) -> None:
    one, two = open_stage(context, service.url), open_stage(context, service.url)
    one.see()
    two.see()
    two.option("Satisfied").click()
    one.option("Dissatisfied").click()
    two.until(lambda: len(service.bodies("answer")) == 2)
    assert [body["token"] for body in service.bodies("answer")] == ["token-2", "token-1"]


def test_the_page_gets_an_event_for_each_outcome(context: BrowserContext, service: StandIn) -> None:
    script = """
    window.heard = [];
    for (const name of ["offer", "shown", "answer", "dismiss", "ignored"])
      document.addEventListener(`easq-${name}`, (event) => heard.push([name, event.detail]));
    """
    stage = open_stage(context, service.url, script=script)
    stage.see()
    stage.option("Satisfied").click()
    view = {"user": "ann", "request": "r1", "item": "cats"}
    assert stage.page.evaluate("heard") == [
        ["offer", {**view, "show": True, "reason": ""}],
        ["shown", view],
        ["answer", {**view, "question": "satisfaction", "option": "satisfied"}],
    ]


@pytest.mark.parametrize("ending", ["dismiss", "ignored"])
def test_an_ending_names_the_view_that_was_asked_about(
    context: BrowserContext, service: StandIn, ending: str
) -> None:
    script = f"document.addEventListener('easq-{ending}', (event) => document.title = event.detail.item)"
    stage = open_stage(context, service.url, script=script)
    stage.see()
    if ending == "dismiss":
        stage.option("Close").click()
    else:
        stage.widget.evaluate("w => w.setAttribute('item', 'dogs')")
    expect(stage.page).to_have_title("cats")
