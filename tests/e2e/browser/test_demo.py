"""The demo page on a system as `easq up` starts it: watch, answer, and the next ranking is another."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from easq.log.events import EVENTS, Answered, Asked, Behavior, Ignored
from easq.log.sqlite import SqliteLog
from tests.support.http_service import until
from tests.support.player_page import Stage
from tests.support.small_worlds import RECIPES


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def recipe() -> str:
    return str(RECIPES / "demo.toml")


@pytest.fixture
def address(home: Path, recipe: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "easq.cli",
        "up",
        "--recipe",
        recipe,
        "--home",
        str(home),
    ]
    with (home.parent / "up.log").open("wb") as lines:
        up = subprocess.Popen(
            [*command, "--port", str(port)],
            stdout=lines,
            stderr=lines,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: up.poll() is not None or is_ready(url))
            yield url
        finally:
            up.send_signal(signal.SIGINT)
            up.wait()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_an_answer_on_the_demo_page_changes_the_next_ranking(
    context: BrowserContext, address: str, home: Path
) -> None:
    context.set_default_timeout(30_000)
    page = context.new_page()
    stage = Stage(page)
    page.on("pageerror", lambda error: stage.errors.append(str(error)))
    page.on("console", lambda line: stage.errors.append(line.text) if line.type == "error" else None)
    page.set_viewport_size({"width": 1000, "height": 780})
    page.goto(f"{address}/demo")
    rows = page.locator("#list li")
    expect(rows).to_have_count(20)
    before = rows.locator(".score").all_inner_texts()
    version = page.locator("#list").get_attribute("data-version")
    stage.settle()
    stage.option("Satisfied").click()
    expect(page.locator("#news")).to_contain_text("clips moved", timeout=30_000)
    place_of_answered(page, "satisfied")
    page.screenshot(path=Path(os.environ.get("EASQ_PICTURES", home.parent)) / "demo.png")
    assert page.locator("#list").get_attribute("data-version") != version
    assert rows.locator(".score").all_inner_texts() != before
    expect(stage.question).to_have_count(0)
    page.get_by_role("button", name="Like").click()
    page.get_by_role("button", name="Next").click()
    stage.settle()
    page.goto("about:blank")
    with SqliteLog(home / "events.log") as log:
        stage.until(lambda: any(isinstance(event, Ignored) for event in logged(log)))
        events = logged(log)
    answered = [event for event in events if isinstance(event, Answered)]
    asked = [event for event in events if isinstance(event, Asked)]
    done = [event for event in events if isinstance(event, Behavior)]
    assert [(event.option, event.propensity) for event in answered] == [("satisfied", 1.0)]
    assert [event.place for event in asked] == [0, 1]
    assert answered[0].ask_id == asked[0].event_id
    assert [event.items for event in done] == [[answered[0].item_id]]
    assert stage.errors == []


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["recommended"])
def test_the_page_asks_by_itself_where_the_recipe_asks_few(
    context: BrowserContext, address: str, home: Path
) -> None:
    """The recommended recipe asks about one view in 200, after seven seconds or half of the clip."""
    context.set_default_timeout(30_000)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/demo")
    expect(page.locator("#rule")).to_have_text("Watch a clip for 7 seconds or 50 % of it and say how it was.")
    expect(page.locator("#why")).to_contain_text("did not ask about this view (", timeout=30_000)
    page.locator("#options").get_by_role("button", name="not satisfied").click()
    expect(page.locator("#news")).to_contain_text("clips moved", timeout=30_000)
    before, after = place_of_answered(page, "not satisfied")
    assert after >= before
    expect(page.locator("#own")).to_be_hidden()
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#own")).to_be_visible(timeout=30_000)
    with SqliteLog(home / "events.log") as log:
        answered = [event for event in logged(log) if isinstance(event, Answered)]
    assert [(event.option, event.propensity) for event in answered] == [("dissatisfied", 1.0)]
    assert errors == []


def place_of_answered(page: Page, said: str) -> tuple[int, int]:
    """Return where the page says that the answered clip stood and stands; the list shows the same."""
    news = page.locator("#news").inner_text()
    found = re.search(
        rf"You said “{said}” about .+\. It (stays at place|went from place (\d+) to) (\d+);", news
    )
    assert found, news
    after = int(found[3])
    assert page.locator("#list li.answered .rank").inner_text() == str(after)
    return int(found[2] or after), after


def logged(log: SqliteLog) -> list[object]:
    return [event for part in range(log.partitions(EVENTS)) for event in log.read(EVENTS, part, 0, 1 << 20)]
