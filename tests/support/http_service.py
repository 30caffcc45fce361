"""A real service on loopback, with a real log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any

import httpx
import uvloop
from litestar import Litestar

from easq.ask.token import read_secret
from easq.features.profiles import Profiles
from easq.home.clock import NowMs, real_ms
from easq.home.home import open_home
from easq.learn.trainer import Trainer
from easq.log.events import EVENTS, Event
from easq.log.sqlite import SqliteLog
from easq.rank.engine import Engine
from easq.rank.parameters import Parameters
from easq.recipe.read import to_toml
from easq.recipe.recipe import Recipe
from easq.service.http.app import make_app
from easq.service.http.keys import Keys
from easq.service.http.server import make_server
from easq.service.service import LiveService
from tests.support.small_worlds import small_recipe

PATIENCE_S = 30.0
LOCKED_S = 0.3


@dataclass
class Served:
    """A running service: a client of it, its log, engine and app."""

    url: str
    http: httpx.Client
    log: SqliteLog
    engine: Engine
    profiles: Profiles
    app: Litestar

    def logged(self, topic: str = EVENTS) -> list[Event]:
        """Return all events of a topic, partition after partition."""
        parts = range(self.log.partitions(topic))
        return [event for p in parts for event in self.log.read(topic, p, 0, 1 << 20)]

    def metric(self, name: str) -> float:
        """Return one line of /metrics by its name and labels; 0 if it is not there."""
        for line in self.http.get("/metrics").text.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        return 0.0


def a_model(recipe: Recipe) -> Parameters:
    """Return parameters as a learner starts with them."""
    state = Trainer(recipe, 1).learner.state()
    parameters = Parameters(recipe)
    parameters.replace(0, state)
    return parameters


@contextmanager
def serving(
    folder: Path,
    *overrides: str,
    has_model: bool = True,
    token: str = "",
    now_ms: NowMs = real_ms,
    steady: NowMs | None = None,
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe,
) -> Iterator[Served]:
    """Serve from the log and the keys in `folder`, by a small recipe that `change` may change."""
    recipe = change(small_recipe("service.profile_store_seconds=3600", *overrides))
    (folder / "settings.toml").write_text(to_toml(recipe))
    home = open_home(folder)
    with SqliteLog(folder / "events.log", locked_s=LOCKED_S) as log:
        profiles = Profiles.of(recipe, log.partitions(EVENTS))
        parameters = a_model(recipe) if has_model else Parameters(recipe)
        engine = Engine(recipe, profiles, parameters, recipe.service.log_top, recipe.service.log_sample)
        keys = Keys(folder / "keys.json")
        secret = read_secret(folder / "secret")
        service = LiveService.build(
            home, log, engine, profiles, keys, secret=secret, now_ms=now_ms, steady=steady
        )
        with running(service) as (url, app), a_client(url, token) as http:
            if has_model:
                until(lambda: http.get("/health/ready").status_code == 200)
            yield Served(url, http, log, engine, profiles, app)


def a_client(url: str, token: str = "") -> httpx.Client:
    """Return a plain HTTP client with a key."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=url, headers=headers, timeout=PATIENCE_S)


@contextmanager
def running(service: LiveService) -> Iterator[tuple[str, Litestar]]:
    """Run a service in a thread and yield its address and app."""
    app = make_app(service)
    server = make_server(app, "127.0.0.1", 0, service.keys, service.recipe.service)

    async def serve() -> None:
        async with service.running():
            await server.serve()

    thread = Thread(target=lambda: uvloop.run(serve()))
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", app.app.app.app
    finally:
        server.should_exit = True
        thread.join()


def until(holds: Any) -> None:
    """Wait until something holds."""
    end = monotonic() + PATIENCE_S
    while not holds():
        assert monotonic() < end, "it did not happen in time"
        sleep(0.01)
