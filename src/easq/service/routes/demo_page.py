"""GET /demo and its files: a page that calls every route, there only while the service has no keys."""

from litestar.response.base import ASGIResponse

from easq.service.http.browser_files import browser_file
from easq.service.http.error_replies import Refusal
from easq.service.http.messages import JSON
from easq.service.http.route import Endpoint, HttpRequest, PageRoute, json_response
from easq.service.service import LiveService

_SCRIPT = "text/javascript"
_FILES = {
    "/demo": ("index.html", "text/html"),
    "/demo/demo.css": ("demo.css", "text/css"),
    "/demo/demo.js": ("demo.js", _SCRIPT),
    "/demo/clips.js": ("clips.js", _SCRIPT),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _check(service: LiveService) -> None:
    if not service.keys.is_open:
        raise Refusal(
            404,
            "not_found",
            "the demo page is there only while the service has no keys, because it calls every route",
        )


DEMO_FILES = tuple(
    browser_file(path, f"service/demo_page/{name}", media_type, _POLICY, _check)
    for path, (name, media_type) in _FILES.items()
)


def _asking_page(service: LiveService) -> Endpoint:
    question, ask = service.recipe.question, service.recipe.ask
    body = JSON.encode(
        {
            "question": question.name,
            "options": question.options,
            "min_play_ms": ask.min_play_ms,
            "min_ratio": ask.min_ratio,
        }
    )

    async def asking(request: HttpRequest) -> ASGIResponse:  # noqa: ARG001 - Litestar passes it by this name
        _check(service)
        return json_response(body)

    return asking


DEMO_ASKING = PageRoute(method="GET", path="/demo/asking.json", page=_asking_page)
"""What the page asks by itself where the service does not, and from when on a view may be asked about."""
