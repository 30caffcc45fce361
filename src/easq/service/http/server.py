"""The HTTP server of an app, and the addresses that it may listen on."""

from functools import partial
from typing import cast

import uvicorn

from easq.errors import InputError
from easq.recipe.operations import Service
from easq.service.http.bounded_protocol import BoundedProtocol
from easq.service.http.idle_connections import IdleConnections
from easq.service.http.keys import Keys
from easq.service.http.origins import is_loopback
from easq.service.http.request_metrics import RequestMetrics

_DRAIN_S = 10  # for calls in flight when the service stops


def check_address(host: str, keys: Keys) -> None:
    """Raise InputError if there are no keys and others than this machine could reach the address."""
    if keys.is_open and not is_loopback(host):
        raise InputError(
            f"--host: got {host}, which others can reach, and there is no key, so anyone could rank and "
            "write. Make one with `easq keys create --scope server`, or listen on 127.0.0.1"
        )


def make_server(app: RequestMetrics, host: str, port: int, keys: Keys, settings: Service) -> uvicorn.Server:
    """Return the server of an app, not yet running; raise InputError for an address it may not have.

    `await server.serve()`, inside `LiveService.running`, runs it until `server.should_exit`, a signal, or the
    end of its task. A signal is raised again when it returns, so handle SIGINT and SIGTERM.
    """
    check_address(host, keys)
    idle = IdleConnections(settings.max_connections)
    protocol = partial(BoundedProtocol, idle, settings.body_seconds, app.refuse_early)
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="uvloop",
            http=cast(type[BoundedProtocol], protocol),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_S,
        )
    )
