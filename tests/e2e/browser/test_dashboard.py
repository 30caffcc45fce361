"""The dashboard in a browser, on what a small demo left: figures are there, and nobody outside is asked.

With EASQ_PICTURES it draws the pictures of docs/dashboard.md anew, of a whole demo.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from easq.model.method import read_method
from easq.prove.closed_loop.demo_run import DemoSize, live_together
from easq.recipe.read import read_recipe
from easq.service.http.keys import create_key
from tests.support.live_processes import EASQ, environment, free_port, is_ready, until
from tests.support.paths import DOCS as PAGES
from tests.support.small_worlds import RECIPES

DOCS = PAGES / "images"
SMALL = DemoSize(viewers=240, days=3, since=1)
DESKTOP: dict[str, Any] = {"viewport": {"width": 1180, "height": 900}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}}
PICTURES: dict[str, Any] = {
    "desktop": {"width": 1180, "height": 1800},
    "phone": {"width": 390, "height": 1700},
}
PARTS = ("experiment", "questionnaire", "validity", "learners", "rankings")


class System(NamedTuple):
    """A service that runs on what a demo left, and the key that opens its dashboard."""

    url: str
    key: str


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("demo")
    recipe, size = (
        read_recipe(RECIPES / "loop.toml", methods=read_method),
        DemoSize() if "EASQ_PICTURES" in os.environ else SMALL,
    )
    with ThreadPoolExecutor(1) as aside:  # the browser's loop is in this thread
        run = aside.submit(live_together, recipe, folder, 1, size, lambda _: None, lambda _: None).result()
    key, port = create_key(run.home.keys_path, "admin", "a test's"), free_port()
    url, output = f"http://127.0.0.1:{port}", folder / "serve.txt"
    command = [*EASQ, "serve", "--home", str(run.home.folder), "--port", str(port)]
    with output.open("wb") as file:
        service = subprocess.Popen(command, stdout=file, stderr=file, env=environment())
    try:
        until(lambda: service.poll() is not None or is_ready(url), output.read_text)
        yield System(url, key)
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait()


class Watched:
    """A page whose requests and errors are recorded."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)

    def open(self, system: System) -> None:
        """Open the dashboard with the key and wait until all of it is there."""
        self.page.goto(f"{system.url}/dashboard")
        self.page.get_by_label("An admin's API key").fill(system.key)
        self.page.get_by_role("button", name="Open").click()
        for part in PARTS:
            expect(self.page.locator(f"#{part}-part section").first).to_be_visible(timeout=30_000)
        expect(self.page.locator("#look")).not_to_contain_text("being read", timeout=30_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("device", "look"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_the_dashboard_shows_what_is_on_the_log(
    browser: Browser, system: System, tmp_path: Path, device: str, look: dict[str, Any], scheme: str
) -> None:
    context = browser.new_context(**look, color_scheme=scheme, locale="en-GB")
    watched = Watched(context)
    watched.open(system)
    page = watched.page
    for part, title in (
        ("experiment", "Satisfaction by arm"),
        ("experiment", "All metrics"),
        ("questionnaire", "From views to answers"),
        ("validity", "Behavior after an answer"),
        ("learners", "Loss"),
        ("learners", "Gradient"),
    ):
        drawn = (
            page.locator(f"#{part}-part").get_by_role("img", name=title, exact=True).locator("svg.main-svg")
        )
        expect(drawn.first).to_be_visible()
    folder = Path(os.environ.get("EASQ_PICTURES", tmp_path))
    path = folder / f"dashboard_{device}_{scheme}.png"
    page.screenshot(path=path, full_page=True, clip={"x": 0, "y": 0, **PICTURES[device]})
    table = page.locator("#experiment-part table").first
    for metric in ("LT7", "AppStayTime", "WatchTime", "VideoView", "Forward", "Q-rate", "Q-Satisfied"):
        expect(table.locator("td", has_text=re.compile(f"^{metric}"))).to_have_count(1)
    expect(page.locator("#rankings-part article").first).to_contain_text("satisfaction")
    wider = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not wider, "the page must not scroll sideways"
    context.close()
    assert [url for url in watched.asked if not url.startswith((system.url, "blob:", "data:"))] == []
    # Before there is a key the service refuses; and plotly's styles of maps are refused, and not missed.
    assert not [error for error in watched.errors if "401" not in error and "inline style" not in error]
    assert path.stat().st_size > 20_000
    assert (DOCS / path.name).exists()
