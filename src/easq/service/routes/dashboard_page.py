"""GET /dashboard and its files: a page that anybody may load; its data needs an admin's key."""

import asyncio
import gzip
from importlib.resources import files

from litestar.response.base import ASGIResponse

from easq.service.http.browser_files import browser_file
from easq.service.http.route import Endpoint, HttpRequest, PageRoute
from easq.service.service import LiveService

_SCRIPT = "text/javascript"
_FILES = {
    "/dashboard": ("index.html", "text/html"),
    "/dashboard/dashboard.css": ("dashboard.css", "text/css"),
    "/dashboard/dashboard.js": ("dashboard.js", _SCRIPT),
}
# The page's style sheet holds plotly's few rules too, and is marked so that plotly writes none itself. What
# plotly would write for maps is refused and shows in the browser's console; there are no maps here.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _plotly(_: LiveService) -> Endpoint:
    """Return the endpoint of the installed package's script: 5 MB, compressed once, on the first request."""
    compressed: list[bytes] = []

    def read() -> bytes:
        return gzip.compress((files("plotly") / "package_data/plotly.min.js").read_bytes(), 6, mtime=0)

    async def script(request: HttpRequest) -> ASGIResponse:
        if not compressed:
            compressed.append(await asyncio.to_thread(read))
        headers = {"cache-control": "public, max-age=86400", "x-content-type-options": "nosniff"}
        body = compressed[0]
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers |= {"content-encoding": "gzip", "vary": "accept-encoding"}
        else:
            body = await asyncio.to_thread(gzip.decompress, body)
        return ASGIResponse(body=body, headers=headers, media_type=_SCRIPT)

    return script


DASHBOARD_FILES = (
    *(
        browser_file(path, f"service/dashboard_page/{name}", media_type, _POLICY)
        for path, (name, media_type) in _FILES.items()
    ),
    PageRoute(method="GET", path="/dashboard/plotly.js", media_type=_SCRIPT, page=_plotly),
)
