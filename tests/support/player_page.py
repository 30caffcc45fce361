"""A page with a player and the question, under the strictest policy that lets it work.

The page has the origin of a service, but the browser gets it from here. Its video is a sound, which needs no
codec: it plays, seeks and loops like any other.
"""

import io
import re
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from playwright.sync_api import BrowserContext, Locator, Page, Request, Route

POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; media-src 'self'; "
    "img-src blob:; require-trusted-types-for 'script'; trusted-types 'none'; base-uri 'none'; "
    "form-action 'none'"
)
SECONDS = 20
PATIENCE_S = 20.0
STYLE = """
:root { color-scheme: light dark }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; background: Canvas; color: CanvasText }
.player { position: relative; width: 720px; height: 405px; margin: 24px auto; max-width: 100%;
    background: #345 }
video { width: 100%; height: 100%; display: block }
"""
ATTRIBUTES = {"user": "ann", "request": "r1", "item": "cats"}


def sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(1)
        out.setframerate(8000)
        out.writeframes(b"\x80" * 8000 * SECONDS)
    return file.getvalue()


@dataclass
class Stage:
    """One tab with the page, and the errors in it."""

    page: Page
    errors: list[str] = field(default_factory=list)

    @property
    def widget(self) -> Locator:
        return self.page.locator("easq-question")

    @property
    def question(self) -> Locator:
        return self.widget.locator(".panel")

    def option(self, label: str) -> Locator:
        return self.question.get_by_role("button", name=label, exact=True)

    def until(self, holds: Callable[[], Any]) -> None:
        """Wait until something holds, while the browser goes on."""
        end = monotonic() + PATIENCE_S
        while not holds():
            assert monotonic() < end, "it did not happen in time"
            self.page.wait_for_timeout(20)

    def play(self) -> None:
        self.page.evaluate("document.querySelector('video').play()")

    def see(self) -> None:
        """Play until the question has appeared and stopped moving."""
        self.play()
        self.settle()

    def settle(self) -> None:
        """Wait until the question has stopped moving."""
        self.question.wait_for()
        self.until(lambda: self.question.evaluate("panel => getComputedStyle(panel).opacity") == "1")

    def hide(self, is_hidden: bool) -> None:
        """Put the tab behind another, as the page sees it."""
        self.page.evaluate(
            """is => { Object.defineProperty(document, 'hidden', {get: () => is, configurable: true});
                       document.dispatchEvent(new Event('visibilitychange')) }""",
            is_hidden,
        )

    def video(self, expression: str) -> Any:
        """Return or do something with `v`, the video."""
        return self.page.evaluate(f"(() => {{ const v = document.querySelector('video'); {expression} }})()")


def open_stage(
    context: BrowserContext,
    url: str,
    attributes: Mapping[str, str] | None = None,
    *,
    video: str = "muted",
    html: str = 'lang="en"',
    script: str = "",
    style: str = "",
    origin: str = "",
) -> Stage:
    """Open the page in a new tab; `origin` is the page's own if it differs from the service's `url`."""
    page_url = origin or url
    policy = POLICY.replace("script-src", f"script-src {url}").replace("connect-src", f"connect-src {url}")
    named = {**ATTRIBUTES, **(attributes or {})}
    words = " ".join(f'{name}="{value}"' for name, value in named.items())
    body = f"""<!doctype html><html {html}><head><meta charset="utf-8"><title>stage</title>
        <meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/stage.css">
        <script src="{url}/widget/easq.js" defer></script><script src="/stage.js" defer></script></head>
        <body><div class="player"><video src="/stage.wav" playsinline {video}></video>
        <easq-question {words}></easq-question></div><p id="below">Below the player.</p></body></html>"""
    files: dict[str, tuple[str, str | bytes]] = {
        "/stage": ("text/html", body),
        "/stage.css": ("text/css", STYLE + style),
        "/stage.js": ("text/javascript", script),
        "/stage.wav": ("audio/wav", sound()),
    }

    def serve(route: Route, request: Request) -> None:
        kind, content = files[request.url.removeprefix(page_url)]
        headers = {"content-type": kind, "content-security-policy": policy}
        if span := re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", "")):
            start, end = int(span[1]), len(content)
            headers["content-range"] = f"bytes {start}-{end - 1}/{end}"
            route.fulfill(status=206, body=content[start:], headers=headers)
        else:
            route.fulfill(body=content, headers=headers)

    page = context.new_page()
    page.route(lambda address: address.removeprefix(page_url) in files, serve)
    stage = Stage(page)
    page.on("pageerror", lambda error: stage.errors.append(str(error)))
    page.on("console", lambda line: stage.errors.append(line.text) if line.type == "error" else None)
    page.goto(f"{page_url}/stage")
    return stage
