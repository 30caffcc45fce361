"""Keyboard, screen reader, direction, motion, and where the question stands."""

from playwright.sync_api import Browser, BrowserContext, expect

from tests.support.player_page import Stage, open_stage
from tests.support.scripted_service import QUESTION, StandIn

SOON = {"fade_ms": 400}
ARABIC = {
    **QUESTION,
    "text": "هل أنت راضٍ عن هذا الفيديو؟",
    "options": [
        {"value": "dissatisfied", "label": "غير راضٍ"},
        {"value": "uncertain", "label": "لست متأكدًا"},
        {"value": "satisfied", "label": "راضٍ"},
    ],
    "thanks": "شكرًا لك.",
}


def focused(stage: Stage) -> str:
    """Return the text of what has the focus, in the question or outside."""
    return stage.page.evaluate(
        """() => { const at = document.activeElement;
                   return (at.shadowRoot?.activeElement ?? at).textContent || at.tagName }"""
    )


def box(stage: Stage, selector: str) -> dict[str, float]:
    result = stage.page.locator(selector).bounding_box()
    assert result is not None
    return {"top": result["y"], "bottom": result["y"] + result["height"], "left": result["x"], **result}


def test_the_keyboard_alone_is_enough(context: BrowserContext, service: StandIn) -> None:
    """The question fades after 2.5 s, but not while the keyboard is in it."""
    service.offer = {"fade_ms": 2500}
    script = (
        "document.addEventListener('keydown', (event) => { if (event.key !== 'Tab') document.title += '!' })"
    )
    stage = open_stage(context, service.url, script=script, video='muted tabindex="0"')
    stage.video("v.focus()")
    stage.see()
    assert focused(stage) == "VIDEO"
    stage.page.keyboard.press("Tab")
    assert focused(stage) == "Dissatisfied"
    outline = (
        "getComputedStyle(document.querySelector('easq-question').shadowRoot.activeElement).outlineWidth"
    )
    assert stage.page.evaluate(outline) == "3px"
    stage.page.wait_for_timeout(2800)
    for key, label in (
        ("ArrowRight", "Not sure"),
        ("ArrowDown", "Satisfied"),
        ("ArrowRight", "Satisfied"),
        ("ArrowLeft", "Not sure"),
        ("ArrowRight", "Satisfied"),
    ):
        stage.page.keyboard.press(key)
        assert focused(stage) == label
    stage.page.keyboard.press("Enter")
    stage.until(lambda: service.bodies("answer"))
    assert service.bodies("answer")[0]["option"] == "satisfied"
    assert focused(stage) == "VIDEO"
    assert stage.page.title() == "stage"
    assert service.bodies("ignored") == []


def test_escape_dismisses_and_gives_the_focus_back(context: BrowserContext, service: StandIn) -> None:
    stage = open_stage(context, service.url, video='muted tabindex="0"')
    stage.video("v.focus()")
    stage.see()
    stage.page.keyboard.press("Tab")
    stage.page.keyboard.press("Escape")
    stage.until(lambda: service.bodies("dismiss"))
    assert focused(stage) == "VIDEO"


def test_the_keyboard_leaving_lets_it_fade(context: BrowserContext, service: StandIn) -> None:
    service.offer = {"fade_ms": 1500}
    stage = open_stage(context, service.url, video='muted tabindex="0"')
    stage.video("v.focus()")
    stage.see()
    stage.page.keyboard.press("Tab")
    stage.page.keyboard.press("Shift+Tab")
    stage.until(lambda: service.bodies("ignored"))


def test_a_screen_reader_hears_the_question_and_the_thanks(context: BrowserContext, service: StandIn) -> None:
    stage = open_stage(context, service.url)
    status = stage.widget.get_by_role("status")
    expect(status).to_have_attribute("aria-live", "polite")
    expect(status).to_have_text("")
    stage.see()
    expect(status).to_have_text("Are you satisfied with this video?")
    group = stage.page.get_by_role("group", name="Are you satisfied with this video?")
    assert group.get_by_role("button").count() == 4
    stage.option("Satisfied").click()
    expect(status).to_have_text("Thanks, noted.")
    expect(stage.question).to_have_count(0)


def test_options_stand_in_the_order_of_the_service(context: BrowserContext, service: StandIn) -> None:
    service.offer = {"question": {**QUESTION, "options": QUESTION["options"][::-1]}}
    stage = open_stage(context, service.url)
    stage.see()
    labels = stage.question.locator(".option").all_inner_texts()
    assert labels == ["Satisfied", "Not sure", "Dissatisfied"]


def test_right_to_left_turns_the_row_and_the_arrow_keys(context: BrowserContext, service: StandIn) -> None:
    service.offer = {"question": ARABIC, "locale": "ar"}
    stage = open_stage(context, service.url)
    stage.see()
    lefts = [option.bounding_box()["x"] for option in stage.question.locator(".option").all()]
    assert lefts == sorted(lefts, reverse=True)
    stage.option("غير راضٍ").focus()
    stage.page.keyboard.press("ArrowLeft")
    assert focused(stage) == "لست متأكدًا"


def test_nothing_jumps_and_the_question_stays_within_the_player(
    context: BrowserContext, service: StandIn
) -> None:
    stage = open_stage(context, service.url)
    before = box(stage, "#below"), box(stage, "video")
    stage.see()
    panel, player = box(stage, "easq-question .panel"), box(stage, ".player")
    assert (box(stage, "#below"), box(stage, "video")) == before
    assert panel["top"] > player["top"] + player["height"] / 2
    assert panel["bottom"] < player["bottom"]
    stage.option("Satisfied").click()
    expect(stage.question).to_contain_text("Thanks, noted.")
    assert box(stage, "easq-question .panel") == panel


def test_the_video_s_own_controls_stay_free(context: BrowserContext, service: StandIn) -> None:
    stage = open_stage(context, service.url, video="muted controls")
    stage.see()
    panel, player = box(stage, "easq-question .panel"), box(stage, ".player")
    assert player["bottom"] - panel["bottom"] >= 80
    under = "([x, y]) => document.elementFromPoint(x, y).tagName"
    for above in (10, 40, 70):
        at = [player["x"] + player["width"] / 2, player["bottom"] - above]
        assert stage.page.evaluate(under, at) == "VIDEO"


def test_a_page_says_how_far_up_and_in_which_colors(context: BrowserContext, service: StandIn) -> None:
    style = "easq-question { --easq-bottom: 60px; --easq-background: rgb(1, 2, 3); --easq-radius: 0px }"
    stage = open_stage(context, service.url, style=style)
    stage.see()
    assert box(stage, ".player")["bottom"] - box(stage, "easq-question .panel")["bottom"] == 60
    look = "p => [getComputedStyle(p).backgroundColor, getComputedStyle(p).borderRadius]"
    assert stage.question.evaluate(look) == ["rgb(1, 2, 3)", "0px"]


def test_dark_and_light_follow_the_system_unless_the_page_says(browser: Browser, service: StandIn) -> None:
    look = "p => getComputedStyle(p).colorScheme"
    for system, theme, seen in (("dark", "", "dark"), ("dark", "light", "light"), ("light", "dark", "dark")):
        context = browser.new_context(color_scheme=system)
        stage = open_stage(context, service.url, {"theme": theme})
        stage.see()
        assert stage.question.evaluate(look) == seen
        context.close()


def test_reduced_motion_moves_nothing(browser: Browser, service: StandIn) -> None:
    context = browser.new_context(reduced_motion="reduce")
    stage = open_stage(context, service.url)
    stage.see()
    look = "p => [getComputedStyle(p).transitionDuration, getComputedStyle(p).transform]"
    assert stage.question.evaluate(look) == ["0s", "none"]
    context.close()
