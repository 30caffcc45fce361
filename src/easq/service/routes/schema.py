"""GET /schema: the OpenAPI document of this service."""

from collections.abc import Sequence

from litestar.response.base import ASGIResponse

from easq.service.http.messages import JSON
from easq.service.http.openapi import describe
from easq.service.http.route import Endpoint, HttpRequest, PageRoute, Route, json_response
from easq.service.service import LiveService


def schema_route(others: Sequence[Route]) -> PageRoute:
    """Return the route of the document that describes `others` and this route itself."""

    def page(service: LiveService) -> Endpoint:
        document = JSON.encode(describe(service.recipe, [*others, route]))

        async def schema(request: HttpRequest) -> ASGIResponse:  # noqa: ARG001
            return json_response(document)

        return schema

    route = PageRoute(method="GET", path="/schema", summary="This description", page=page)
    return route
