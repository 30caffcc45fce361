"""A ranking engine that aligns with what viewers say, not only with what they do."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from easq.service.client import Client, ClientError

__version__ = "0.1.0"
__all__ = ["Client", "ClientError", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the client when it is asked for: most who import the package do not need it."""
    if name in ("Client", "ClientError"):
        from easq.service import client

        return getattr(client, name)
    raise AttributeError(f"module 'easq' has no attribute {name!r}")
