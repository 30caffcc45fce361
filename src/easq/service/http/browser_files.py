"""Routes of files for browsers: bytes of the package, under a policy that lets a page load nothing else."""

from collections.abc import Callable
from importlib.resources import files

from litestar.response.base import ASGIResponse

from easq.service.http.route import Endpoint, HttpRequest, PageRoute
from easq.service.service import LiveService


def browser_file(
    path: str,
    source: str,
    media_type: str,
    policy: str,
    check: Callable[[LiveService], None] = lambda _: None,
) -> PageRoute:
    """Return the route of one file: `source` in the package. `check` raises Refusal where there is none."""

    def page(service: LiveService) -> Endpoint:
        body = (files("easq") / source).read_bytes()
        headers = {
            "cache-control": "no-cache",
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        }

        async def file(request: HttpRequest) -> ASGIResponse:  # noqa: ARG001 - Litestar passes it by this name
            check(service)
            return ASGIResponse(body=body, headers=headers, media_type=media_type)

        return file

    return PageRoute(method="GET", path=path, media_type=media_type, page=page)
