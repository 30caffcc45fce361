"""A real browser for these tests: Debian's Chromium, which speaks to nobody but the tests."""

from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.support.scripted_service import StandIn, stand_in

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A page that the test makes up has no address; the browser takes it for one from far away.
    "--disable-features=LocalNetworkAccessChecks",
    "--autoplay-policy=no-user-gesture-required",
]
PATIENCE_MS = 20_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    result = which("chromium")
    if result is None:
        pytest.skip("there is no chromium; `make browser` installs Debian's as root")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=Path(result), headless=True, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 800, "height": 600}, locale="en-GB")
    made.set_default_timeout(PATIENCE_MS)
    yield made
    made.close()


@pytest.fixture
def service() -> Iterator[StandIn]:
    with stand_in() as state:
        yield state
