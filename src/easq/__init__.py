"""A ranking engine that aligns with what viewers say, not only with what they do."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from easq.service.async_client import AsyncClient
    from easq.service.client import Client
    from easq.service.client_replies import ClientError

    __version__: str

_PLACES = {
    "AsyncClient": "easq.service.async_client",
    "Client": "easq.service.client",
    "ClientError": "easq.service.client_replies",
}

__all__ = ["AsyncClient", "Client", "ClientError", "__version__"]


def __getattr__(name: str) -> Any:
    """Import on demand: most code that imports the package needs neither a client nor the version."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("easq")
    raise AttributeError(f"module 'easq' has no attribute {name!r}")
