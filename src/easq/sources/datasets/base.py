"""The result of every loader, and its import into the log."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import msgspec

from easq.log.base import EventLog
from easq.log.events import EVENTS, Answered, Asked, Behavior, Event, Request
from easq.sources.datasets.held import New
from easq.sources.datasets.order_doubt import OrderDoubt
from easq.sources.datasets.rejected_rows import Rejects


class EventSource:
    """A data set that has been read: its events in chunks, ordered by event time.

    Iterating again gives the same events. `new` says what of it the log holds, if that was looked up, and
    `doubts` which behaviors contradict the order of the answers' options.
    """

    def __init__(
        self,
        events: Callable[[], Iterator[list[Event]]],
        rejects: Rejects,
        new: New | None = None,
        doubts: Sequence[OrderDoubt] = (),
    ) -> None:
        self.rejects, self.new, self.doubts = rejects, new, doubts
        self._events = events

    def __iter__(self) -> Iterator[list[Event]]:
        return self._events()


class ImportSummary(msgspec.Struct, kw_only=True):
    """Counts of one import: `answers` by option, the three of what is `rejected` by reason.

    `cell_examples` has a few texts of the cells that are rejected, by reason.

    Events are counted whether the log held them before or not; `written` are those that it did not hold.
    `older` are rows with something new that lie before the newest event of their partition, `changed` events
    that the log holds otherwise: those of the log stay.
    """

    rows_read: int
    written: int = 0
    older: int = 0
    changed: int = 0
    requests: int = 0
    views: int = 0
    asks: int = 0
    answers: dict[str, int] = {}
    rejected: dict[str, int]
    rejected_answers: dict[str, int]
    rejected_cells: dict[str, int] = {}
    cell_examples: dict[str, list[str]] = {}


def import_events(
    log: EventLog, chunks: EventSource, on_progress: Callable[[int, int], None] = lambda *_: None
) -> ImportSummary:
    """Append a data set's events to the log, and return the counts of events and of rejected rows.

    Event ids depend only on the data, and the log keeps the first event of each id. So an import that was
    interrupted or is repeated adds only what is missing. `on_progress` gets the views done and in all.
    """
    rejects = chunks.rejects
    summary = ImportSummary(
        rows_read=rejects.read,
        older=chunks.new.older if chunks.new else 0,
        rejected=dict(sorted(rejects.rows.items())),
        rejected_answers=dict(sorted(rejects.answers.items())),
        rejected_cells=dict(sorted(rejects.cells.items())),
        cell_examples=dict(sorted(rejects.examples.items())),
    )
    if chunks.new:
        _count_held(summary, chunks.new)
    before = sum(log.end_offsets(EVENTS))
    for chunk in chunks:
        summary.changed += log.append_each(EVENTS, chunk).count(None)
        for event in chunk:
            _count(summary, event)
        on_progress(summary.views, rejects.used)
    summary.written = sum(log.end_offsets(EVENTS)) - before
    return summary


def _count_held(summary: ImportSummary, new: New) -> None:
    """Count what the log holds of views that the import leaves out, but for what it adds to them."""
    held, added = new.held, {event.event_id for event in new.late_answers}
    summary.views = held.height
    summary.requests = held["in_request"].n_unique() if held.height else 0
    summary.asks = held["propensity"].count() - sum(i.endswith(":asked") for i in added)
    summary.answers = dict(Counter(held["option"].drop_nulls().to_list()))
    for event in new.late_answers:
        if isinstance(event, Answered):
            summary.answers[event.option] -= 1


def _count(summary: ImportSummary, event: Event) -> None:
    match event:
        case Request():
            summary.requests += 1
        case Behavior():
            summary.views += 1
        case Asked():
            summary.asks += 1
        case Answered():
            summary.answers[event.option] = summary.answers.get(event.option, 0) + 1
