"""Messages between the service and the process that reads the log for the dashboard: JSON, one a line."""

import msgspec


class BoardQuery(msgspec.Struct):
    """A request to read the log; without an `experiment` that part is left out."""

    experiment: str = ""


class BoardPart(msgspec.Struct):
    """One part of the dashboard: HTML as of `at_ms`, which took `seconds`. A `null` follows the last part."""

    name: str
    html: str
    at_ms: int
    seconds: float
