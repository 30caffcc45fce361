"""The service of a home: its parts put together, its status told, its end."""

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

import structlog
import torch
import uvicorn
import uvloop
from litestar import Litestar

from easq.ask.checkpoint import AsksFile
from easq.ask.judge import weigh
from easq.ask.token import read_secret
from easq.errors import InputError
from easq.features.profiles import Profiles
from easq.features.profiles.store import ProfileStore
from easq.home.arm_homes import open_arms
from easq.home.clock import clock_of
from easq.home.home import Home
from easq.home.process_log import lines_to_stderr
from easq.log.base import EventLog
from easq.log.events import EVENTS, PROFILES, Delta
from easq.rank.engine import Engine
from easq.rank.parameters import Parameters
from easq.rank.replica import Hand, Replica, Replicas
from easq.service.app import create_app
from easq.service.http.keys import Keys
from easq.service.http.server import check_address, make_server
from easq.service.profile_saver import ProfileSaver

_TELL_S = 1.0
_POLL_S = 0.05
_TURN_S = 0.0005

logger = structlog.get_logger("easq.service")


def run_service(home: Home, host: str, port: int, stop: threading.Event) -> None:
    """Serve until `stop` is set; raises InputError for an address that it may not or cannot have."""
    lines_to_stderr()
    # Scoring is one thread's: a second one would only spin beside the learner.
    torch.set_num_threads(1)
    # Otherwise a reply may wait 5 ms for each turn while a thread reads the log or saves the profiles.
    sys.setswitchinterval(_TURN_S)
    keys = Keys(home.keys_path)
    check_address(host, keys)
    with (
        ExitStack() as opened,
        home.lock("service"),
        home.open_events(home.recipe.service.log_wait_seconds) as events,
        ProfileStore(home.profiles_path) as store,
        ProfileSaver(store) as saver,
    ):
        models = [
            _Model(name, found, opened.enter_context(found.open_updates()), Parameters(found.recipe))
            for name, found in {"": home, **open_arms(home)}.items()
        ]
        app = _app(home, events, models, store, saver, keys)
        gc.freeze()  # modules stay: looking through them for garbage would hold up rankings for 150 ms
        uvloop.run(_serve(home, app, make_server(app, host, port, keys), stop))


class _Model(NamedTuple):
    """The running model, or that of an arm, and where its parameters come from."""

    arm: str
    home: Home
    updates: EventLog
    parameters: Parameters


def _app(
    home: Home, events: EventLog, models: list[_Model], store: ProfileStore, saver: ProfileSaver, keys: Keys
) -> Litestar:
    profiles = Profiles.of(home.recipe, events.partitions(EVENTS))
    if reason := store.load(profiles, [*events.end_offsets(EVENTS), *events.end_offsets(PROFILES)]):
        logger.warning("profiles are built from the log", reason=reason)
    main, *arms = models
    service = home.recipe.service
    engine = Engine(
        home.recipe,
        profiles,
        main.parameters,
        service.log_top,
        service.log_sample,
        {arm.arm: arm.parameters for arm in arms},
    )

    def follow_updates(hand: Hand, heard: Callable[[Delta], None]) -> Replicas:
        first = Replica(main.home, main.updates, main.parameters, hand, heard)
        return Replicas(first, [Replica(m.home, m.updates, m.parameters, hand) for m in arms])

    return create_app(
        engine,
        events,
        profiles,
        keys,
        home.recipe,
        judge=weigh,
        secret=read_secret(home.secret_path),
        home=home,
        follow_updates=follow_updates,
        save_profiles=partial(saver.save, profiles),
        now_ms=clock_of(home),
        asks_file=AsksFile(home.asks_path, home.recipe),
    )


async def _serve(home: Home, app: Litestar, server: uvicorn.Server, stop: threading.Event) -> None:
    tasks = [asyncio.create_task(_tell(home, app, server)), asyncio.create_task(_end(server, stop))]
    try:
        await server.serve()
    except SystemExit:  # how uvicorn ends when it cannot listen, having said why
        raise InputError(
            f"--port: cannot listen on {server.config.host}:{server.config.port}; name another port"
        ) from None
    finally:
        for task in tasks:
            task.cancel()


async def _tell(home: Home, app: Litestar, server: uvicorn.Server) -> None:
    """Leave the service's status in the home every second; say once of each failure what it is."""
    said = ""
    while True:
        status = {**app.state.status(), "pid": os.getpid(), "at": time.time(), "port": _port(server)}
        try:
            await asyncio.to_thread(home.write_status, "service", status)
            said = ""
        except OSError as error:
            if (reason := error.strerror or str(error)) != said:
                said = reason
                logger.warning("the status cannot be written", reason=reason)
        await asyncio.sleep(_TELL_S)


async def _end(server: uvicorn.Server, stop: threading.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(_POLL_S)
    server.should_exit = True


def _port(server: uvicorn.Server) -> int | None:
    return int(server.servers[0].sockets[0].getsockname()[1]) if server.started else None
