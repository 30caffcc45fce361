"""GET /widget/easq.js: the questionnaire's element, for any page."""

import hashlib
import json
import re
from importlib.resources import files

from litestar.response.base import ASGIResponse

from easq.recipe.questionnaire import AskSettings
from easq.service.http.route import Endpoint, HttpRequest, PageRoute
from easq.service.service import LiveService

_SCRIPT = "text/javascript"
_DAY_S = 86_400


def widget_script(ask: AskSettings) -> bytes:
    """Return the element's script, whole, and with the rule of a recipe, which is stated there only."""
    rule = json.dumps({"min_play_ms": ask.min_play_ms, "min_ratio": ask.min_ratio}).encode()
    folder = files("easq") / "ask/widget"
    script, sight = ((folder / name).read_bytes() for name in ("easq.js", "sight.js"))
    whole, num_parts = re.subn(rb"  // sight\.js\n", lambda _: sight, script)
    body, num_rules = re.subn(rb"(?<=const RULE = )\{[^}]*\}", rule, whole)
    assert (num_parts, num_rules) == (1, 1), "the element has lost a part, or its rule"
    return body


def _widget(service: LiveService) -> Endpoint:
    """Return the endpoint of the element. What an address with its hash (`?v=`) returns never changes."""
    body = widget_script(service.recipe.ask)
    version = hashlib.sha256(body).hexdigest()[:16]
    etag = f'"{version}"'

    async def script(request: HttpRequest) -> ASGIResponse:
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


WIDGET = PageRoute(method="GET", path="/widget/easq.js", media_type=_SCRIPT, page=_widget)
