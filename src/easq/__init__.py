"""A ranking engine that aligns with what viewers say, not only with what they do."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from easq.service.client import AsyncClient, Client, ClientError

    __version__: str

__all__ = ["AsyncClient", "Client", "ClientError", "__version__"]


def __getattr__(name: str) -> Any:
    """Import on demand: most code that imports the package needs neither a client nor the version."""
    if name in ("AsyncClient", "Client", "ClientError"):
        from easq.service import client

        return getattr(client, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("easq")
    raise AttributeError(f"module 'easq' has no attribute {name!r}")
