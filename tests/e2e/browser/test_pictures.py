"""The pictures of docs/widget.md: `make pictures` draws them anew. Each run checks that they can be drawn."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.e2e.browser.test_access import ARABIC
from tests.support.paths import DOCS as PAGES
from tests.support.player_page import open_stage
from tests.support.scripted_service import QUESTION, StandIn

DOCS = PAGES / "images"
DRAWN = """
const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
[canvas.width, canvas.height] = [720, 720];
const sky = pen.createLinearGradient(0, 0, 720, 720);
sky.addColorStop(0, "#f6a55c"); sky.addColorStop(0.5, "#d8567c"); sky.addColorStop(1, "#3b2a7a");
pen.fillStyle = sky; pen.fillRect(0, 0, 720, 720);
pen.fillStyle = "#ffe9b0"; pen.beginPath(); pen.arc(470, 260, 70, 0, 7); pen.fill();
pen.fillStyle = "#221a4d"; pen.beginPath(); pen.moveTo(0, 560); pen.lineTo(210, 330); pen.lineTo(400, 520);
pen.lineTo(560, 400); pen.lineTo(720, 540); pen.lineTo(720, 720); pen.lineTo(0, 720); pen.fill();
canvas.toBlob((file) => { document.querySelector("video").poster = URL.createObjectURL(file); });
"""
STYLE = "video { object-fit: cover } .player { border-radius: 12px; overflow: hidden }"
PHONE = ".player { width: 100%; height: 100vh; margin: 0; border-radius: 0 }"
FIVE = {
    **QUESTION,
    "name": "come_back",
    "text": "How likely are you to come back for more like this?",
    "options": [{"value": str(n), "label": str(n)} for n in range(1, 6)],
}
BARE = [{"value": option["value"]} for option in QUESTION["options"]]
CHINESE = {**QUESTION, "text": "", "options": BARE, "thanks": ""}
PLAIN: dict[str, Any] = {"viewport": {"width": 768, "height": 453}, "device_scale_factor": 1.5}
SMALL: dict[str, Any] = {"viewport": {"width": 360, "height": 640}, "device_scale_factor": 1.5}


@pytest.mark.parametrize(
    ("name", "look", "offer", "style"),
    [
        ("light", PLAIN, {}, ""),
        ("dark", {**PLAIN, "color_scheme": "dark"}, {}, ""),
        ("rtl", PLAIN, {"question": ARABIC, "locale": "ar"}, ""),
        ("chinese", PLAIN, {"question": CHINESE, "locale": "zh-CN"}, ""),
        ("phone", SMALL, {}, PHONE),
        ("phone_five", {**SMALL, "color_scheme": "dark"}, {"question": FIVE}, PHONE),
        ("thanks", PLAIN, {}, ""),
    ],
)
def test_picture(
    browser: Browser,
    service: StandIn,
    tmp_path: Path,
    name: str,
    look: dict[str, Any],
    offer: Mapping[str, Any],
    style: str,
) -> None:
    service.offer = {**offer, "fade_ms": 60_000}
    context = browser.new_context(**look)
    stage = open_stage(context, service.url, video="muted", script=DRAWN, style=STYLE + style)
    stage.until(lambda: stage.video("return v.poster"))
    stage.page.evaluate("document.querySelector('easq-question').progress(8000, 0.5)")
    stage.settle()
    if name == "thanks":
        stage.option("Satisfied").click()
        stage.page.wait_for_timeout(300)
    path = Path(os.environ.get("EASQ_PICTURES", tmp_path)) / f"widget_{name}.png"
    stage.page.screenshot(path=path)
    context.close()
    assert path.stat().st_size > 10_000
    assert (DOCS / path.name).exists()
