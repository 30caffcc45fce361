"""GET /health/live and /health/ready, for supervisors and load balancers."""

from litestar.response.base import ASGIResponse

from easq.service.http.error_replies import Refusal
from easq.service.http.route import NOT_NOW, Endpoint, HttpRequest, PageRoute, json_response
from easq.service.service import LiveService


def _live(_: LiveService) -> Endpoint:
    async def live(request: HttpRequest) -> ASGIResponse:  # noqa: ARG001
        return json_response(b'{"status":"live"}')

    return live


def _ready(service: LiveService) -> Endpoint:
    async def ready(request: HttpRequest) -> ASGIResponse:  # noqa: ARG001
        if reason := service.readiness.why_not():
            raise Refusal(503, "not_ready", reason, retry_after_s=1)
        return json_response(b'{"status":"ready"}')

    return ready


LIVE = PageRoute(method="GET", path="/health/live", summary="Does the process answer", page=_live)
READY = PageRoute(
    method="GET", path="/health/ready", summary="Can it rank", refusals={503: NOT_NOW}, page=_ready
)
