"""What a module logs, whatever level another test has set for the process."""

from collections.abc import Callable
from typing import Any


class LogLines:
    """Stands in for a module's logger and keeps its lines: (event, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Callable[..., None]:
        def log(event: str, **fields: Any) -> None:
            self.lines.append((event, fields))

        return log

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return the fields of each line of an event."""
        return [fields for name, fields in self.lines if name == event]
