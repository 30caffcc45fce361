"""The ASGI app of a service: its routes, the check of keys, and errors as replies."""

from collections.abc import Callable, Sequence

import structlog
from litestar import Litestar, Response
from litestar.config.cors import CORSConfig
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from easq.recipe.recipe import Recipe
from easq.service.http.auth import Authenticator
from easq.service.http.error_replies import Refusal, too_large
from easq.service.http.load_shedder import LoadShedder, RoomGuard
from easq.service.http.messages import JSON
from easq.service.http.origins import Origins
from easq.service.http.rate_limit import RateLimit
from easq.service.http.request_metrics import RequestMetrics
from easq.service.http.route import CallRoute, HttpRequest, Route
from easq.service.http.turns import Turns
from easq.service.http.uploads import Uploads
from easq.service.routes import ROUTES
from easq.service.service import LiveService

logger = structlog.get_logger("easq.service")


def make_app(service: LiveService, routes: Sequence[Route] = ROUTES) -> RequestMetrics:
    """Return the ASGI app of a service. The caller runs the service; see `LiveService.running`."""
    recipe = service.recipe
    uploads, turns = Uploads(recipe.service), Turns(recipe.service)
    app = Litestar(
        [_route_handler(route, service, uploads, turns) for route in routes],
        guards=[
            RoomGuard(turns),
            Authenticator(service.keys, RateLimit(recipe.service.requests_per_second), uploads),
        ],
        exception_handlers={Exception: _explain_to(recipe)},
        request_max_body_size=recipe.service.max_body_bytes,
        cors_config=_cors(recipe.ask.origins),
        openapi_config=None,
        logging_config=None,
    )
    calls = [route for route in routes if isinstance(route, CallRoute)]
    shedder = LoadShedder(app, [route.path for route in calls], turns)
    origins = Origins(
        shedder,
        service.keys,
        guarded=[route.path for route in routes if route.scopes],
        beacons=[route.path for route in calls if route.is_beacon],
        allowed=recipe.ask.origins,
    )
    return RequestMetrics(origins, [route.path for route in routes], service.metrics, shedder)


def _route_handler(route: Route, service: LiveService, uploads: Uploads, turns: Turns) -> HTTPRouteHandler:
    limit, _ = route.limit(service.recipe)
    handler = HTTPRouteHandler(
        route.path,
        # Monitors and balancers ask with HEAD; the server leaves out the body of its reply.
        http_method=["GET", "HEAD"] if route.method == "GET" else route.method,
        status_code=200,
        opt={"route": route},
        request_max_body_size=limit,
    )
    return handler(route.endpoint(service, uploads, turns))


def _cors(origins: tuple[str, ...]) -> CORSConfig | None:
    if not origins:
        return None
    headers = ["authorization", "content-type"]
    return CORSConfig(allow_origins=list(origins), allow_methods=["POST"], allow_headers=headers)


def _explain_to(recipe: Recipe) -> Callable[[HttpRequest, Exception], Response[bytes]]:
    def explain(request: HttpRequest, error: Exception) -> Response[bytes]:
        """Turn any exception into a reply that says what is wrong."""
        refusal = error
        headers: dict[str, str] = {}
        if isinstance(error, HTTPException):
            headers = dict(error.headers or {})
            refusal = Refusal(error.status_code, *_code_and_message(error, request))
            if error.status_code == 413:
                refusal = too_large(f"the body is too large; allowed: {_limit(request, recipe)}")
        if not isinstance(refusal, Refusal):
            logger.error("a request failed", path=request.scope["path"], exc_info=error)
            refusal = Refusal(500, "internal", "this is a fault of the service; its log says more")
        elif refusal.status != 503:
            logger.info("refused", path=request.scope["path"][:100], status=refusal.status, code=refusal.code)
        return Response(
            refusal.body(),
            status_code=refusal.status,
            media_type=JSON.media_type,
            headers={**headers, **refusal.headers},
        )

    return explain


def _limit(request: HttpRequest, recipe: Recipe) -> str:
    route: Route = request.scope["route_handler"].opt["route"]
    limit, setting = route.limit(recipe)
    return f"{limit} bytes ({setting})" if setting else f"{limit} bytes"


def _code_and_message(error: HTTPException, request: HttpRequest) -> tuple[str, str]:
    path = request.scope["path"][:100]
    if error.status_code == 404:
        return "not_found", f"there is nothing at {path!r}; /schema lists what there is"
    if error.status_code == 405:
        return (
            "method_not_allowed",
            f"{path} does not take {request.scope['method']}; /schema says what it takes",
        )
    return "invalid", error.detail
