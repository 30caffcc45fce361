"""What the dashboard asks for, and the parts that come back: HTML, with its time and price."""

from typing import Any

import msgspec


class BoardQuery(msgspec.Struct):
    """Which home and experiment to read; `funnel` is what an earlier read counted, opaque to the service."""

    folder: str
    experiment: str = ""
    funnel: dict[str, Any] | None = None


class BoardPart(msgspec.Struct):
    """One part of the dashboard: HTML, as of `at_ms`, which took `seconds`."""

    name: str
    html: str
    at_ms: int
    seconds: float
    funnel: dict[str, Any] | None = None
