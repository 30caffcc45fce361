"""A question is reported as shown only where it can be seen; until then it waits."""

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.support.player_page import Stage, open_stage
from tests.support.scripted_service import StandIn

PLAYER = "document.querySelector('.player')"
BOX = f"""
const player = {PLAYER}, box = document.createElement('div');
player.replaceWith(box); box.id = 'box'; box.append(player);
"""
HIDE = {
    "outside of an inner scroller": f"{BOX} box.style.cssText = 'overflow: auto; height: 90px; width: 700px';"
    "const before = document.createElement('div'); before.style.height = '100px'; box.prepend(before)",
    "slid out of a carousel": f"{BOX} box.style.cssText = 'overflow: hidden; width: 500px';"
    "player.style.cssText += ';width: 480px; transform: translateX(510px)'",
    "in a box without height": f"{BOX} box.style.cssText = 'overflow: hidden; height: 0'",
    "scaled to nothing": f"{PLAYER}.style.transform = 'scale(0)'",
    "clipped": f"{PLAYER}.style.clipPath = 'inset(100%)'",
    "filtered": f"{PLAYER}.style.filter = 'opacity(0)'",
    "nearly transparent": f"{PLAYER}.style.opacity = .001",
    "the video alone in full screen": "document.querySelector('video').requestFullscreen()",
    "scrolled away": "scrollTo(0, 5000)",
    "not displayed": "document.querySelector('.player').style.display = 'none'",
    "invisible": "document.querySelector('.player').style.visibility = 'hidden'",
    "transparent": "document.querySelector('.player').style.opacity = 0",
    "under a dialog": "document.querySelector('dialog').showModal()",
}
SHOW = {
    "outside of an inner scroller": "document.querySelector('#box').style.height = '700px'",
    "slid out of a carousel": f"{PLAYER}.style.transform = ''",
    "in a box without height": "document.querySelector('#box').style.height = '600px'",
    "scaled to nothing": f"{PLAYER}.style.transform = ''",
    "clipped": f"{PLAYER}.style.clipPath = ''",
    "filtered": f"{PLAYER}.style.filter = ''",
    "nearly transparent": f"{PLAYER}.style.opacity = 1",
    "the video alone in full screen": "document.exitFullscreen()",
    "scrolled away": "scrollTo(0, 0)",
    "not displayed": "document.querySelector('.player').style.display = ''",
    "invisible": "document.querySelector('.player').style.visibility = ''",
    "transparent": "document.querySelector('.player').style.opacity = ''",
    "under a dialog": "document.querySelector('dialog').close()",
}
PAGE = """
document.body.append(document.createElement('dialog'), document.createElement('p'));
document.querySelector('dialog').textContent = 'consent';
document.body.style.minHeight = '6000px';
"""


def act(stage: Stage, code: str) -> None:
    # A full screen needs a user's gesture, which a click is.
    stage.page.evaluate(f"addEventListener('click', () => {{ {code} }}, {{ once: true, capture: true }})")
    stage.page.mouse.click(5, 5)


@pytest.mark.parametrize("where", HIDE)
def test_a_question_that_nobody_could_see_waits(
    context: BrowserContext, service: StandIn, where: str
) -> None:
    stage = open_stage(context, service.url, script=PAGE)
    act(stage, HIDE[where])
    stage.page.wait_for_timeout(300)
    stage.play()
    stage.until(lambda: service.bodies("offer"))
    stage.page.wait_for_timeout(1200)
    assert service.bodies("shown") == []
    expect(stage.question).to_have_count(0)
    stage.page.evaluate(SHOW[where])
    stage.until(lambda: service.bodies("shown"))
    expect(stage.question).to_be_visible()


def test_a_player_in_full_screen_shows_its_question(context: BrowserContext, service: StandIn) -> None:
    stage = open_stage(context, service.url)
    act(stage, "document.querySelector('.player').requestFullscreen()")
    stage.see()
    stage.until(lambda: service.bodies("shown"))


@pytest.mark.parametrize(
    "style",
    [
        "overflow: hidden; height: 20px",  # static, so that it does not hold the player, which is absolute
        "overflow: visible; height: 0",
        "clip-path: inset(0); padding: 40px",
        "pointer-events: none; clip-path: inset(0)",
    ],
)
def test_a_box_that_hides_nothing_of_it_does_not_matter(
    context: BrowserContext, service: StandIn, style: str
) -> None:
    stage = open_stage(context, service.url, script=PAGE)
    place = "player.style.cssText += ';position: absolute; top: 0; left: 0';" if "20px" in style else ""
    stage.page.evaluate(f"{{ {BOX} box.style.cssText = '{style}'; {place} }}")
    stage.see()
    stage.until(lambda: service.bodies("shown"))


def test_a_question_that_is_hidden_later_is_not_ignored_meanwhile(
    context: BrowserContext, service: StandIn
) -> None:
    service.offer = {"fade_ms": 700}
    stage = open_stage(context, service.url, script=PAGE)
    stage.see()
    stage.until(lambda: service.bodies("shown"))
    stage.page.evaluate(HIDE["under a dialog"])
    stage.page.wait_for_timeout(1500)
    assert service.bodies("ignored") == []
    stage.page.evaluate(SHOW["under a dialog"])
    stage.until(lambda: service.bodies("ignored"))


@pytest.mark.parametrize(
    "loaded",
    [
        '<script src="/easq/widget/easq.js" defer></script>',
        '<script type="module" src="/easq/widget/easq.js?v=3"></script>',
        '<script type="module">import "/easq/widget/easq.js";</script>',
    ],
)
def test_calls_go_where_the_script_came_from(context: BrowserContext, service: StandIn, loaded: str) -> None:
    page = context.new_page()
    body = (
        f'<!doctype html>{loaded}<div style="position:relative;width:400px;height:300px">'
        '<easq-question user="u" request="r" item="i"></easq-question></div>'
    )
    page.route(f"{service.url}/watch", lambda route: route.fulfill(body=body, content_type="text/html"))
    page.goto(f"{service.url}/watch")
    page.wait_for_function("!!customElements.get('easq-question')")
    with page.expect_request("**/offer") as offer:
        page.evaluate("document.querySelector('easq-question').progress(9000, 0.9)")
    assert offer.value.url == f"{service.url}/easq/v1/questionnaire/offer"
