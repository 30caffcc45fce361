"""The process of a home's service: it opens the files, runs the service and the server, writes the status."""

import asyncio
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

import structlog
import torch
import uvicorn
import uvloop
from msgspec.structs import asdict

from easq.ask.checkpoint import AsksFile
from easq.ask.token import read_secret
from easq.errors import InputError
from easq.features.profiles import Profiles
from easq.features.profiles.store import ProfileStore
from easq.home.arm_homes import open_arms
from easq.home.checksums import is_another
from easq.home.clock import clock_of
from easq.home.home import Home
from easq.home.process_log import lines_to_stderr
from easq.log.base import EventLog
from easq.log.events import EVENTS, PROFILES, Delta
from easq.rank.engine import Engine
from easq.rank.parameters import Parameters
from easq.rank.replica import Hand, Replica, Replicas
from easq.service.http.app import make_app
from easq.service.http.keys import Keys
from easq.service.http.server import check_address, make_server
from easq.service.log_clock import steady_ms
from easq.service.profile_saver import ProfileSaver
from easq.service.service import LiveService

_STATUS_S = 1.0
_POLL_S = 0.05
_SWITCH_S = 0.0005
_SECRET_ADVICE = (
    "its file was changed, or removed and made anew: open asks cannot be answered, and draws of asks begin "
    "anew. If that was not meant, stop the service and put the old file back"
)

logger = structlog.get_logger("easq.service")


def run_service(home: Home, host: str, port: int, stop: threading.Event) -> None:
    """Serve until `stop` is set; raises InputError for an address that it may not or cannot have."""
    lines_to_stderr()
    # One thread scores; a second one would only compete with the learner for a core.
    torch.set_num_threads(1)
    # By default a reply may wait 5 ms for each turn while a thread reads the log or saves the profiles.
    sys.setswitchinterval(_SWITCH_S)
    keys = Keys(home.keys_path)
    check_address(host, keys)
    _tell_who_may_call(keys)
    with (
        ExitStack() as stack,
        home.lock("service"),
        home.open_events(home.recipe.service.log_wait_seconds) as events,
        ProfileStore(home.profiles_path) as store,
        ProfileSaver(store) as saver,
    ):
        replica_homes = {"": home, **open_arms(home)}
        updates = {arm: stack.enter_context(own.open_updates()) for arm, own in replica_homes.items()}
        service = _build(home, events, replica_homes, updates, store, saver, keys)
        uvloop.run(_serve(home, service, host, port, stop))


def _tell_who_may_call(keys: Keys) -> None:
    if keys.is_open:
        logger.warning("open", reason="there has never been a key: whoever reaches the address may do all")
    elif not len(keys):
        logger.warning(
            "closed",
            reason="there have been keys and there is none now: calls are refused until `easq keys create` "
            "makes one, or until a start with --open",
        )


def _build(
    home: Home,
    events: EventLog,
    replica_homes: Mapping[str, Home],
    updates: Mapping[str, EventLog],
    store: ProfileStore,
    saver: ProfileSaver,
    keys: Keys,
) -> LiveService:
    """Build the service; the model of the arm "" serves every viewer without an arm that has its own."""
    secret = read_secret(home.secret_path)
    if is_another(home.secret_path, secret):
        logger.error("the secret is not the one that this system had", advice=_SECRET_ADVICE)
    profiles = Profiles.of(home.recipe, events.partitions(EVENTS))
    if reason := store.load(profiles, [*events.end_offsets(EVENTS), *events.end_offsets(PROFILES)]):
        logger.warning("profiles are built from the log", reason=reason)
    parameters = {arm: Parameters(own.recipe) for arm, own in replica_homes.items()}
    settings = home.recipe.service
    engine = Engine(
        home.recipe,
        profiles,
        parameters[""],
        settings.log_top,
        settings.log_sample,
        {arm: of_arm for arm, of_arm in parameters.items() if arm},
    )

    def follow_updates(hand: Hand, delta_applied: Callable[[Delta], None]) -> Replicas:
        first = Replica(home, updates[""], parameters[""], hand, delta_applied)
        others = [
            Replica(own, updates[arm], parameters[arm], hand) for arm, own in replica_homes.items() if arm
        ]
        return Replicas(first, others)

    return LiveService.build(
        home,
        events,
        engine,
        profiles,
        keys,
        secret=secret,
        follow_updates=follow_updates,
        save_profiles=partial(saver.save, profiles),
        now_ms=clock_of(home),
        steady=None if home.recipe.clock.held else steady_ms,
        asks_file=AsksFile(home.asks_path, home.recipe),
    )


async def _serve(home: Home, service: LiveService, host: str, port: int, stop: threading.Event) -> None:
    async with service.running():
        server = make_server(make_app(service), host, port, service.keys, home.recipe.service)
        # Modules and state stay: a garbage collection of them would hold up rankings for 150 ms.
        gc.freeze()
        # Before it listens it only says why it cannot, which is said below.
        logging.getLogger("uvicorn.error").addFilter(lambda _: server.started)
        tasks = [
            asyncio.create_task(_write_status(home, service, server)),
            asyncio.create_task(_end(server, stop)),
        ]
        try:
            await server.serve()
        except SystemExit:  # how uvicorn ends when it cannot listen
            raise InputError(
                f"--port: cannot listen on {server.config.host}:{server.config.port}; name another port"
            ) from None
        finally:
            for task in tasks:
                task.cancel()


async def _write_status(home: Home, service: LiveService, server: uvicorn.Server) -> None:
    """Write the service's status into the home every second; log each kind of failure once."""
    last_reason = ""
    while True:
        status = {**asdict(service.status()), "pid": os.getpid(), "at": time.time(), "port": _port(server)}
        try:
            await asyncio.to_thread(home.write_status, "service", status)
            last_reason = ""
        except OSError as error:
            if (reason := error.strerror or str(error)) != last_reason:
                last_reason = reason
                logger.warning("the status cannot be written", reason=reason)
        await asyncio.sleep(_STATUS_S)


async def _end(server: uvicorn.Server, stop: threading.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(_POLL_S)
    server.should_exit = True


def _port(server: uvicorn.Server) -> int | None:
    return int(server.servers[0].sockets[0].getsockname()[1]) if server.started else None
