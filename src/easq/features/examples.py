"""The results of the join: examples to learn from, and events that led to none."""

import msgspec

from easq.log.events import Behavior, Event, Request


class Viewed(msgspec.Struct, frozen=True, gc=False, tag="viewed"):
    """A request whose window has closed, with its behavior reports and (position, option) per answer.

    `weights` are (position, weight) of the answers that count less than 1.
    """

    request: Request
    reports: list[tuple[list[int], Behavior]]
    answers: list[tuple[int, int]]
    weights: list[tuple[int, float]] = []

    @property
    def num_reported(self) -> int:
        """The number of candidates named by the reports. One that is named twice counts twice."""
        return sum([len(positions) for positions, _ in self.reports])


class AnsweredView(msgspec.Struct, frozen=True, gc=False, tag="answered"):
    """One answer: the candidate at `position` of its request got option number `option` (0 is worst).

    `weight` is how much it counts, from 0 to 1. With `after_view` the request's window had closed before, so
    its behavior was learned first.
    """

    request: Request
    position: int
    option: int
    propensity: float
    after_view: bool = False
    weight: float = 1.0


Example = Viewed | AnsweredView


class Late(msgspec.Struct, frozen=True):
    """An event that led to no example, and why."""

    reason: str
    event: Event


class Counts(msgspec.Struct):
    """The number of events by what became of them. All but `unlogged_items` add up to all events.

    `other_questions` are asks of our own policy with questions that do not train, and their outcomes.
    `unlogged_items` are entries of counted behaviors whose candidate was not logged. `elsewhere` are requests
    that are not learned here, because another arm served them, and the events that refer to them.
    """

    requests: int = 0
    behaviors: int = 0
    asked: int = 0
    answers: int = 0
    duplicates: int = 0
    late: int = 0
    orphans: int = 0
    refused: int = 0
    offered: int = 0
    dismissed: int = 0
    ignored: int = 0
    other_questions: int = 0
    erased: int = 0
    unlogged_items: int = 0
    elsewhere: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Return the sums."""
        return Counts(
            *(
                a + b
                for a, b in zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
            )
        )
