"""Where an answer is weighed, between its tap and the log."""

from typing import Protocol

from easq.ask.state import Asks
from easq.log.events import Answered


class Judge(Protocol):
    """Says what an answer counts for, 0 to 1, and by which flags it counts for less."""

    def __call__(self, answer: Answered, asks: Asks) -> tuple[float, list[str]]:
        """Return weight and flags of an answer that is about to be logged."""
        ...


def weigh(answer: Answered, asks: Asks) -> tuple[float, list[str]]:
    """Judge by haste, habit and campaigns; see `quality`."""
    return asks.weigh(answer)


def trust(answer: Answered, asks: Asks) -> tuple[float, list[str]]:  # noqa: ARG001 - of every answer
    """Let every answer count in full."""
    return 1.0, []
