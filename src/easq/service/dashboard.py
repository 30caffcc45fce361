"""The dashboard: a page for browsers, and the data that it asks for with an admin's key."""

import asyncio
import gzip
import time
from importlib.resources import files
from typing import Any

from litestar import Request, get
from litestar.response.base import ASGIResponse

from easq.recipe.recipe import Recipe
from easq.service.dashboard_reader import DashboardReader
from easq.service.handlers import Handlers
from easq.service.http.error_replies import Refusal
from easq.service.http.messages import JSON

ADMIN = {"scopes": ("admin",)}
_SCRIPT = "text/javascript"
_PAGE = {
    "/dashboard": ("index.html", "text/html"),
    "/dashboard/dashboard.css": ("dashboard.css", "text/css"),
    "/dashboard/dashboard.js": ("dashboard.js", _SCRIPT),
}
# The page's style sheet holds plotly's few rules too, and is marked so that plotly writes none itself. What
# it would write for maps is refused, which the browser's console tells; there are no maps here.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_Call = Request[Any, Any, Any]


def dashboard_routes(desk: Handlers, recipe: Recipe, looks: DashboardReader) -> list[Any]:
    """Return the page's files, which anybody may have, and its data, which an admin's key opens."""
    names = [experiment.name for experiment in recipe.experiments]

    @get("/v1/dashboard", opt=ADMIN)
    async def now() -> ASGIResponse:
        found = {
            "at_ms": time.time_ns() // 1_000_000,
            "name": recipe.name,
            "experiments": names,
            "service": desk.status(),
            "learners": await asyncio.to_thread(looks.learners),
        }
        return ASGIResponse(body=JSON.encode(found), media_type=JSON.media_type)

    @get("/v1/dashboard/board", opt=ADMIN)
    async def board(request: _Call) -> ASGIResponse:
        given = request.query_params.getall("experiment", [])
        experiment = given[-1] if given else (names[0] if names else "")
        if experiment and experiment not in names:
            allowed = ", ".join(names) or "the recipe declares none"
            raise Refusal(404, "not_found", f"experiment: got {experiment[:100]!r}; allowed: {allowed}")
        found = looks.board(experiment)
        etag = f'"{experiment}-{found.number}"'
        headers = {"etag": etag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == etag:
            return ASGIResponse(status_code=304, headers=headers, media_type=JSON.media_type)
        body = {
            "experiment": experiment,
            "is_reading": found.is_reading,
            "error": found.error,
            "parts": list(found.parts.values()),
        }
        return ASGIResponse(body=JSON.encode(body), headers=headers, media_type=JSON.media_type)

    return [now, board, _plotly(), *(_file(path, name, kind) for path, (name, kind) in _PAGE.items())]


def _file(path: str, name: str, kind: str) -> Any:
    body = (files("easq") / "service/dashboard_page" / name).read_bytes()
    headers = {
        "cache-control": "no-cache",
        "content-security-policy": _POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }

    @get(path)
    async def file() -> ASGIResponse:
        return ASGIResponse(body=body, headers=headers, media_type=kind)

    return file


def _plotly() -> Any:
    """Return the route of the installed package's script: 5 MB, packed once, when it is first wanted."""
    packed: list[bytes] = []

    def read() -> bytes:
        return gzip.compress((files("plotly") / "package_data/plotly.min.js").read_bytes(), 6, mtime=0)

    @get("/dashboard/plotly.js")
    async def script(request: _Call) -> ASGIResponse:
        if not packed:
            packed.append(await asyncio.to_thread(read))
        headers = {"cache-control": "public, max-age=86400", "x-content-type-options": "nosniff"}
        body = packed[0]
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers |= {"content-encoding": "gzip", "vary": "accept-encoding"}
        else:
            body = await asyncio.to_thread(gzip.decompress, body)
        return ASGIResponse(body=body, headers=headers, media_type=_SCRIPT)

    return script
