"""GET /v1/dashboard and /v1/dashboard/board: the data that the dashboard's page shows."""

import asyncio
import time

from litestar.response.base import ASGIResponse
from msgspec import Struct

from easq.home.board import BoardPart
from easq.recipe.recipe import Recipe
from easq.service.dashboard_reader import LearnerStatus
from easq.service.http.error_replies import Refusal
from easq.service.http.messages import JSON, Json
from easq.service.http.route import ADMIN, Endpoint, HttpRequest, PageRoute, json_response
from easq.service.service import LiveService
from easq.service.status import ServiceStatus


class DashboardReply(Struct, frozen=True):
    """The state of this moment, which needs no reading of the log."""

    at_ms: int
    name: str
    experiments: list[str]
    service: ServiceStatus
    learners: dict[str, LearnerStatus]


class BoardReply(Struct, frozen=True):
    """The parts read from the log so far; `error` says why the last reading failed."""

    experiment: str
    is_reading: bool
    error: str
    parts: list[BoardPart]


def _dashboard(service: LiveService) -> Endpoint:
    async def dashboard(request: HttpRequest) -> ASGIResponse:  # noqa: ARG001
        reply = DashboardReply(
            at_ms=time.time_ns() // 1_000_000,
            name=service.recipe.name,
            experiments=_names(service.recipe),
            service=service.status(),
            learners=await asyncio.to_thread(service.dashboard.learners),
        )
        return json_response(JSON.encode(reply))

    return dashboard


def _board(service: LiveService) -> Endpoint:
    names = _names(service.recipe)

    async def board(request: HttpRequest) -> ASGIResponse:
        values = request.query_params.getall("experiment", [])
        experiment = values[-1] if values else (names[0] if names else "")
        if experiment and experiment not in names:
            allowed = ", ".join(names) or "the recipe declares none"
            raise Refusal(404, "not_found", f"experiment: got {experiment[:100]!r}; allowed: {allowed}")
        newest = service.dashboard.board(experiment)
        etag = f'"{experiment}-{newest.number}"'
        headers = {"etag": etag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == etag:
            return ASGIResponse(status_code=304, headers=headers, media_type=JSON.media_type)
        reply = BoardReply(experiment, newest.is_reading, newest.error, list(newest.parts.values()))
        return ASGIResponse(body=JSON.encode(reply), headers=headers, media_type=JSON.media_type)

    return board


def _refine(operation: Json, schemas: Json, recipe: Recipe) -> None:  # noqa: ARG001 - only the operation
    names = _names(recipe)
    schema = {"type": "string", "enum": names} if names else {"type": "string"}
    operation["parameters"] = [{"name": "experiment", "in": "query", "required": False, "schema": schema}]
    unchanged = "Nothing has changed since the ETag in `If-None-Match`."
    operation["responses"]["304"] = {"description": unchanged}


def _names(recipe: Recipe) -> list[str]:
    return [experiment.name for experiment in recipe.experiments]


DASHBOARD = PageRoute(
    method="GET",
    path="/v1/dashboard",
    scopes=ADMIN,
    summary="What the dashboard shows of this moment",
    page=_dashboard,
)
BOARD = PageRoute(
    method="GET",
    path="/v1/dashboard/board",
    scopes=ADMIN,
    summary="What the dashboard shows of the log",
    refusals={404: "There is no experiment of this name; the message says which there are."},
    refine=_refine,
    page=_board,
)
