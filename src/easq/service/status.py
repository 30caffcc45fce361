"""The service's status, for people and for the supervisor's line."""

from msgspec import Struct


class ServiceStatus(Struct, frozen=True):
    """The essentials of one service process; `freshness_seconds` is None until an answer was learned.

    `shadow_rankings` were made beside what the caller showed, and are not among `rankings`.
    `tied_rankings` counts replies of several candidates that all have one score.
    """

    ready: bool
    reason: str
    version: str
    arms: dict[str, str]
    freshness_seconds: float | None
    rankings: float
    shadow_rankings: float
    unlogged_rankings: float
    events_accepted: float
    answers_accepted: float
    events_refused: float
    log_failures: float
    tied_rankings: float
    alarms: list[str]
