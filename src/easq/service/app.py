"""The app factory: routes, and what starts and stops with them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import structlog
from litestar import Litestar, Request, Response, get, post, put
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.response.base import ASGIResponse

from easq.ask.checkpoint import AsksFile
from easq.ask.judge import Judge, trust
from easq.ask.rebuild import catch_up
from easq.ask.state import Asks
from easq.ask.token import Tokens
from easq.errors import InputError
from easq.features.profiles import Profiles
from easq.home.clock import NowMs, real_ms
from easq.home.home import Home
from easq.log.base import EventLog
from easq.log.events import EVENTS
from easq.rank.engine import Engine
from easq.recipe.recipe import Recipe
from easq.service.counters import CONTENT_TYPE, ServiceCounters
from easq.service.dashboard import dashboard_routes
from easq.service.dashboard_reader import DashboardReader
from easq.service.freshness import FollowUpdates, Freshness, watch_updates
from easq.service.group_commit import Committer
from easq.service.handlers import Handlers
from easq.service.http.auth import Authenticator
from easq.service.http.error_replies import Refusal, too_large
from easq.service.http.formats import negotiate
from easq.service.http.keys import Keys
from easq.service.http.messages import JSON, Format
from easq.service.http.openapi import describe
from easq.service.http.rate_limit import RateLimit
from easq.service.http.request_metrics import RequestMetrics
from easq.service.http.uploads import Uploads
from easq.service.log_follower import FanOut, LogFollower
from easq.service.log_writer import LogWriter
from easq.service.pages import page_routes
from easq.service.questionnaire import Questionnaire

_SERVER = {"scopes": ("server", "admin")}
_VIEWER = {"scopes": ("viewer", "server", "admin"), "key_in_body": True}
_ADMIN = {"scopes": ("admin",)}
_ASK_BYTES = 16 << 10  # of a body about an ask
_SAVE_ASKS_S = 900.0  # a restart reads what came since, at 50,000 to 100,000 events a second
_KEYS_S = 0.5  # between looks at the file of keys

logger = structlog.get_logger("easq.service")

_Call = Request[Any, Any, Any]
_Verb = Callable[[bytes, Format, Format], Awaitable[bytes]]


def create_app(
    engine: Engine,
    log: EventLog,
    profiles: Profiles,
    keys: Keys,
    recipe: Recipe,
    *,
    secret: bytes,
    home: Home,
    judge: Judge = trust,
    follow_updates: FollowUpdates | None = None,
    save_profiles: Callable[[], None] = lambda: None,
    now_ms: NowMs = real_ms,
    asks_file: AsksFile | None = None,
) -> Litestar:
    """Return the service. It follows `log` with `profiles` from `profiles.offsets` on, and owns neither.

    `secret` signs asks and salts their sampling, and `judge` weighs answers before they are logged. What
    asking remembers is read here, from `asks_file` and from the log where that ends; raises LogError where
    that fails. It is written every 15 minutes and at the end.
    The dashboard reads `home`, whose log this is.
    `follow_updates` makes what keeps the parameters of `engine` up to date; it runs while the app does.
    `save_profiles` is called every `service.profile_store_seconds` and at the end, in a thread, while
    nothing is applied. Events are stamped by `now_ms`. `app.state.status()` is what /v1/status says.
    """
    metrics, freshness = ServiceCounters(), Freshness()
    failed = metrics.log_failures.labels("follow").inc
    asks = Asks(recipe, secret, partial(profiles.author_of, recipe.quality.author))
    if asks_file is not None:
        asks_file.read(asks, log.end_offsets(EVENTS))
    catch_up(asks, log, now_ms())
    heard = FanOut(profiles, asks)
    follower = LogFollower(log, heard, save_profiles, recipe.service.profile_store_seconds, failed)
    committer = Committer(log)
    writing = LogWriter(committer, recipe.service, metrics, freshness)
    desk = Handlers(
        engine,
        recipe,
        profiles.knows,
        writing,
        follower,
        metrics,
        freshness,
        now_ms,
        # At once, and not when it is read from the log again: a fast viewer's offer may come before that.
        served=lambda request: asks.served.ingest(request, request.ts),
    )
    questionnaire = Questionnaire(asks, Tokens(secret), recipe.ask, judge, writing, follower, metrics, now_ms)

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        follower.start()
        updates = None
        if follow_updates is not None:
            updates = follow_updates(asyncio.get_running_loop().call_soon_threadsafe, freshness.heard)
            watch_updates(metrics, engine, updates.status, freshness)
            updates.start()
        tasks = [asyncio.create_task(desk.warm_up()), asyncio.create_task(_watch_keys(keys))]
        if asks_file is not None:
            tasks.append(asyncio.create_task(_save_asks(asks_file, asks, follower)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await asyncio.to_thread(looks.close)
            if updates is not None:
                await asyncio.to_thread(updates.stop)
            writing.flush()
            await asyncio.to_thread(committer.close)
            await follower.stop()
            if asks_file is not None:
                await _save(asks_file, asks, follower)

    uploads, looks = Uploads(recipe.service), DashboardReader(home)
    routes = [
        *_call_routes(desk, uploads),
        *_ask_routes(questionnaire, uploads),
        *_look_routes(desk, metrics, recipe),
        *page_routes(keys, recipe.ask),
        *dashboard_routes(desk, recipe, looks),
    ]
    app = Litestar(
        routes,
        lifespan=[running],
        guards=[Authenticator(keys, RateLimit(recipe.service.requests_per_second), uploads)],
        exception_handlers={Exception: _explain_to(recipe)},
        request_max_body_size=recipe.service.max_body_bytes,
        cors_config=_cors(recipe.ask.origins),
        openapi_config=None,
        logging_config=None,
        state=State({"status": desk.status}),
    )
    # Around the router too: a path that no route takes is a request as well.
    app.asgi_handler = RequestMetrics(
        app.asgi_handler, [path for route in routes for path in route.paths], metrics
    )
    return app


def _call_routes(desk: Handlers, uploads: Uploads) -> list[Any]:
    """Return the routes that a platform's servers call."""

    @post("/v1/rank", status_code=200, opt=_SERVER)
    async def rank(request: _Call) -> ASGIResponse:
        return await _answer(request, uploads, desk.rank)

    @post("/v1/events", status_code=200, opt=_SERVER)
    async def events(request: _Call) -> ASGIResponse:
        return await _answer(request, uploads, desk.take_events)

    @put("/v1/items", opt=_SERVER)
    async def items(request: _Call) -> ASGIResponse:
        return await _answer(request, uploads, desk.put_items)

    @put("/v1/users", opt=_SERVER)
    async def users(request: _Call) -> ASGIResponse:
        return await _answer(request, uploads, desk.put_users)

    return [rank, events, items, users]


def _ask_routes(questionnaire: Questionnaire, uploads: Uploads) -> list[Any]:
    """Return the routes that a viewer's own device may call, and the only ones that it may."""

    def route(name: str, verb: _Verb) -> Any:
        @post(f"/v1/questionnaire/{name}", status_code=200, opt=_VIEWER, request_max_body_size=_ASK_BYTES)
        async def call(request: _Call) -> ASGIResponse:
            return await _answer(request, uploads, verb, beacon=True)

        return call

    return [
        route("offer", questionnaire.offer),
        route("shown", questionnaire.shown),
        route("answer", questionnaire.answer),
        route("dismiss", questionnaire.dismiss),
        route("ignored", questionnaire.ignored),
    ]


def _cors(origins: tuple[str, ...]) -> CORSConfig | None:
    if not origins:
        return None
    headers = ["authorization", "content-type"]
    return CORSConfig(allow_origins=list(origins), allow_methods=["POST"], allow_headers=headers)


def _look_routes(desk: Handlers, metrics: ServiceCounters, recipe: Recipe) -> list[Any]:
    """Return the routes for those who run the service."""
    schema = JSON.encode(describe(recipe))

    @get("/health/live")
    async def live() -> ASGIResponse:
        return _respond(b'{"status":"live"}')

    @get("/health/ready")
    async def ready() -> ASGIResponse:
        reason = desk.why_not_ready()
        if reason:
            raise Refusal(503, "not_ready", reason, retry_after_s=1)
        return _respond(b'{"status":"ready"}')

    @get("/metrics", opt=_ADMIN)
    async def numbers() -> ASGIResponse:
        return ASGIResponse(body=metrics.text(), headers={"content-type": CONTENT_TYPE})

    @get("/v1/status", opt=_ADMIN)
    async def status() -> ASGIResponse:
        return _respond(JSON.encode(desk.status()))

    @get("/schema")
    async def openapi() -> ASGIResponse:
        return _respond(schema)

    return [live, ready, numbers, status, openapi]


async def _answer(request: _Call, uploads: Uploads, verb: _Verb, beacon: bool = False) -> ASGIResponse:
    given, wanted = negotiate(request.scope["headers"], beacon)
    return _respond(await verb(await uploads.read(request), given, wanted), wanted.media_type)


def _respond(body: bytes, media_type: str = JSON.media_type) -> ASGIResponse:
    return ASGIResponse(body=body, media_type=media_type)


def _explain_to(recipe: Recipe) -> Callable[[_Call, Exception], Response[bytes]]:
    def explain(request: _Call, error: Exception) -> Response[bytes]:
        """Turn whatever was raised into a body that says what is wrong."""
        refusal = error
        headers: dict[str, str] = {}
        if isinstance(error, HTTPException):
            headers = dict(error.headers or {})
            refusal = Refusal(error.status_code, *_words(error, request))
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


def _limit(request: _Call, recipe: Recipe) -> str:
    if request.scope["path"].startswith("/v1/questionnaire/"):
        return f"{_ASK_BYTES} bytes"
    return f"{recipe.service.max_body_bytes} bytes (service.max_body_bytes)"


def _words(error: HTTPException, request: _Call) -> tuple[str, str]:
    path = request.scope["path"][:100]
    if error.status_code == 404:
        return "not_found", f"there is nothing at {path!r}; /schema lists what there is"
    if error.status_code == 405:
        return (
            "method_not_allowed",
            f"{path} does not take {request.scope['method']}; /schema says what it takes",
        )
    return "invalid", error.detail


async def _save_asks(file: AsksFile, asks: Asks, follower: LogFollower) -> None:
    while True:
        await asyncio.sleep(_SAVE_ASKS_S)
        await _save(file, asks, follower)


async def _save(file: AsksFile, asks: Asks, follower: LogFollower) -> None:
    if follower.broken:  # they may have heard half of a chunk, and a restart would hear it again
        return
    taken = file.take(asks)
    try:
        await asyncio.to_thread(file.write, taken)
    except OSError as error:  # the log has everything; a restart reads more of it
        logger.warning("what asking remembers was not saved", reason=str(error))


async def _watch_keys(keys: Keys) -> None:
    told = ""
    while True:
        await asyncio.sleep(_KEYS_S)
        try:
            if keys.refresh():
                logger.info("the keys have changed")
            told = ""
        except InputError as error:
            if str(error) != told:
                told = str(error)
                logger.warning("the keys cannot be read", reason=told)
