"""Files for browsers: the questionnaire's element for any page, and the demo page of an open service."""

import hashlib
import json
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from litestar import Request, get
from litestar.response.base import ASGIResponse

from easq.recipe.questionnaire import AskSettings
from easq.service.http.error_replies import Refusal
from easq.service.http.keys import Keys

_SCRIPT = "text/javascript; charset=utf-8"
_DEMO = {
    "/demo": ("index.html", "text/html; charset=utf-8"),
    "/demo/demo.css": ("demo.css", "text/css; charset=utf-8"),
    "/demo/demo.js": ("demo.js", _SCRIPT),
    "/demo/clips.js": ("clips.js", _SCRIPT),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DAY_S = 86_400

_Call = Request[Any, Any, Any]


def page_routes(keys: Keys, ask: AskSettings) -> list[Any]:
    """Return the routes of the element and of the demo page, which is there only while there are no keys."""
    return [_widget(ask), *(_demo_file(path, name, kind, keys) for path, (name, kind) in _DEMO.items())]


def widget(ask: AskSettings) -> bytes:
    """Return the element's script with the rule of a recipe, so that it stands in one place only."""
    rule = json.dumps({"min_play_ms": ask.min_play_ms, "min_ratio": ask.min_ratio}).encode()
    body, count = re.subn(rb"(?<=const RULE = )\{[^}]*\}", rule, _read("ask/widget", "easq.js"))
    assert count == 1, "the element has lost its rule"
    return body


def _widget(ask: AskSettings) -> Any:
    """Return the route of the element. An address with its hash (`?v=`) never changes what it holds."""
    body = widget(ask)
    version = hashlib.sha256(body).hexdigest()[:16]
    etag = f'"{version}"'

    @get("/widget/easq.js")
    async def script(request: _Call) -> ASGIResponse:
        is_pinned = request.query_params.get("v") == version
        life_s, rest = (365 * _DAY_S, ", immutable") if is_pinned else (_DAY_S // 24, "")
        headers = {
            "etag": etag,
            "cache-control": f"public, max-age={life_s}{rest}",
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
            "x-content-type-options": "nosniff",
        }
        if etag in request.headers.get("if-none-match", ""):
            return ASGIResponse(status_code=304, headers=headers, media_type=_SCRIPT)
        return ASGIResponse(body=body, headers=headers, media_type=_SCRIPT)

    return script


def _demo_file(path: str, name: str, kind: str, keys: Keys) -> Callable[..., Any]:
    body = _read("service/demo_page", name)
    headers = {
        "cache-control": "no-cache",
        "content-security-policy": _POLICY,
        "x-content-type-options": "nosniff",
    }

    @get(path)
    async def file() -> ASGIResponse:
        if not keys.is_open:
            message = (
                "the demo page is there only while the service has no keys, because it calls every route"
            )
            raise Refusal(404, "not_found", message)
        return ASGIResponse(body=body, headers=headers, media_type=kind)

    return file


def _read(folder: str, name: str) -> bytes:
    return (files("easq") / folder / name).read_bytes()
