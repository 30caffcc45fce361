"""GET /metrics: everything counted, in Prometheus' text format."""

from litestar.response.base import ASGIResponse

from easq.service.counters import CONTENT_TYPE
from easq.service.http.route import ADMIN, Endpoint, HttpRequest, PageRoute
from easq.service.service import LiveService


def _metrics(service: LiveService) -> Endpoint:
    async def metrics(request: HttpRequest) -> ASGIResponse:  # noqa: ARG001
        return ASGIResponse(body=service.metrics.text(), headers={"content-type": CONTENT_TYPE})

    return metrics


METRICS = PageRoute(
    method="GET",
    path="/metrics",
    scopes=ADMIN,
    summary="Everything counted, for Prometheus",
    media_type="text/plain",
    page=_metrics,
)
