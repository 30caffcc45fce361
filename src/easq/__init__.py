"""A ranking engine that aligns with what viewers say, not only with what they do.

Public are the names of `__all__`; docs/library.md describes them. Every module of the package is private: it
may change in any version.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from easq.errors import InputError, InputWarning

if TYPE_CHECKING:
    from easq.library.run import Run, fit, open_run
    from easq.library.run_report import RunReport
    from easq.library.view_log import ViewLog, open_log, read_table
    from easq.service.async_client import AsyncClient
    from easq.service.client import Client
    from easq.service.client_replies import ClientError

    __version__: str

_PLACES = {
    "AsyncClient": "easq.service.async_client",
    "Client": "easq.service.client",
    "ClientError": "easq.service.client_replies",
    "Run": "easq.library.run",
    "RunReport": "easq.library.run_report",
    "ViewLog": "easq.library.view_log",
    "fit": "easq.library.run",
    "open_log": "easq.library.view_log",
    "open_run": "easq.library.run",
    "read_table": "easq.library.view_log",
}

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "InputError",
    "InputWarning",
    "Run",
    "RunReport",
    "ViewLog",
    "__version__",
    "fit",
    "open_log",
    "open_run",
    "read_table",
]


def __getattr__(name: str) -> Any:
    """Import on demand: clients need no torch, and most code that imports the package needs neither."""
    if name in _PLACES:
        try:
            return getattr(import_module(_PLACES[name]), name)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing in ("", "easq"):
                raise
            raise ModuleNotFoundError(
                f"easq.{name} needs {missing}, which is not installed: pip install 'easq[engine]' "
                "(`pip install easq` is Client and AsyncClient alone)",
                name=error.name,
            ) from None
    if name == "__version__":
        from importlib.metadata import version

        return version("easq")
    raise AttributeError(f"module 'easq' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return what is public."""
    return list(__all__)
