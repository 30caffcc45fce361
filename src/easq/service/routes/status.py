"""GET /v1/status: the essentials of this process."""

from litestar.response.base import ASGIResponse

from easq.service.http.messages import JSON
from easq.service.http.route import ADMIN, Endpoint, HttpRequest, PageRoute, json_response
from easq.service.service import LiveService


def _status(service: LiveService) -> Endpoint:
    async def status(request: HttpRequest) -> ASGIResponse:  # noqa: ARG001
        return json_response(JSON.encode(service.status()))

    return status


STATUS = PageRoute(
    method="GET", path="/v1/status", scopes=ADMIN, summary="The essentials of this process", page=_status
)
