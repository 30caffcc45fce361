"""GET /demo and its files: a page that calls every route, there only while the service has no keys."""

from importlib.resources import files

from litestar.response.base import ASGIResponse

from easq.service.http.error_replies import Refusal
from easq.service.http.route import Endpoint, HttpRequest, PageRoute
from easq.service.service import LiveService

_SCRIPT = "text/javascript; charset=utf-8"
_FILES = {
    "/demo": ("index.html", "text/html; charset=utf-8"),
    "/demo/demo.css": ("demo.css", "text/css; charset=utf-8"),
    "/demo/demo.js": ("demo.js", _SCRIPT),
    "/demo/clips.js": ("clips.js", _SCRIPT),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _file(path: str, name: str, media_type: str) -> PageRoute:
    def page(service: LiveService) -> Endpoint:
        body = (files("easq") / "service/demo_page" / name).read_bytes()
        headers = {
            "cache-control": "no-cache",
            "content-security-policy": _POLICY,
            "x-content-type-options": "nosniff",
        }

        async def file(request: HttpRequest) -> ASGIResponse:  # noqa: ARG001
            if not service.keys.is_open:
                message = (
                    "the demo page is there only while the service has no keys, because it calls every route"
                )
                raise Refusal(404, "not_found", message)
            return ASGIResponse(body=body, headers=headers, media_type=media_type)

        return file

    return PageRoute(method="GET", path=path, media_type=media_type, page=page)


DEMO_FILES = tuple(_file(path, name, media_type) for path, (name, media_type) in _FILES.items())
