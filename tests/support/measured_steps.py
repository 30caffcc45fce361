"""Steps for tests of measuring: a test says what happened, the real batcher lays it out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from easq.arrays import F64
from easq.features.batch import Batch, make_batch
from easq.features.encode import Encoder
from easq.features.examples import AnsweredView, Example, Viewed
from easq.learn.learner import StepResult
from easq.log.events import Behavior, Request
from easq.log.packing import pack_floats, pack_ids
from easq.recipe.features import BehaviorKind, Categorical

OPTIONS = ("dissatisfied", "uncertain", "satisfied")
BEHAVIORS = (BehaviorKind(name="like"), BehaviorKind(name="long_view", weight=0.5))
CAP = 1.25
"""Levels are 0, 0.5, 1 and, for both behaviors, the cap."""

FEATURE = Categorical(name="item_id", side="candidate", rows=16)

View = tuple[str, int]
"""A candidate of a request: (request's id, position)."""


@dataclass(frozen=True)
class Listing:
    """A request and its candidates."""

    id: str
    user: str
    items: tuple[str, ...]
    ts: int = 0


@dataclass(frozen=True)
class Closed:
    """A closed request: by position the behaviors with each seen candidate, and the options chosen."""

    listing: Listing
    did: Mapping[int, tuple[bool, ...]]
    answers: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class AnswerTo:
    """An answer with option number `option` about the candidate at `position`; it may follow the close."""

    listing: Listing
    position: int
    option: int
    after_view: bool = False


def make_listing(request: str, user: str, size: int, ts: int = 0) -> Listing:
    return Listing(request, user, tuple(f"{request}:{position}" for position in range(size)), ts)


def lay_out(happened: Iterable[Closed | AnswerTo]) -> Batch:
    """Return the batch of one step."""
    return make_batch(Encoder([FEATURE], 0), BEHAVIORS, CAP, [_example(e) for e in happened])


def make_step(
    batch: Batch, served: Mapping[View, float], expert: Mapping[View, float] | None = None
) -> StepResult:
    """Return the step in which the model scored each view as given, from before it learned."""
    satisfaction = None if expert is None else row_scores(batch, expert)[batch.num_viewed :]
    return StepResult(
        batch=batch,
        touched_U=np.zeros(0, np.int64),
        served_N=row_scores(batch, served).astype(np.float32),
        satisfaction_L=None if satisfaction is None else satisfaction.astype(np.float32),
        losses={"main": 0.5},
        active_experts=2.0,
        active_satisfaction_experts=None,
    )


def row_scores(batch: Batch, scores: Mapping[View, float]) -> F64:
    """Return the score of each of the batch's rows."""
    views = zip(batch.rows.request_N.tolist(), batch.position_N.tolist(), strict=True)
    return np.array([scores[batch.request_ids[request], position] for request, position in views], np.float64)


def views_of(happened: Iterable[Closed | AnswerTo]) -> Sequence[View]:
    """Return every candidate of every request that the events name, each once and in order."""
    return list(dict.fromkeys((e.listing.id, p) for e in happened for p in range(len(e.listing.items))))


def _example(event: Closed | AnswerTo) -> Example:
    listing = event.listing
    items = {"item_id": pack_ids(np.arange(len(listing.items)))}
    request = Request(
        event_id=listing.id,
        user_id=listing.user,
        ts=listing.ts,
        items=list(listing.items),
        viewer={},
        candidates=items,
    )
    if isinstance(event, AnswerTo):
        return AnsweredView(request, event.position, event.option, 0.5, event.after_view)
    positions = list(event.did)
    columns = {b.name: [event.did[p][k] for p in positions] for k, b in enumerate(BEHAVIORS)}
    report = Behavior(
        event_id=f"{listing.id}b",
        user_id=listing.user,
        ts=listing.ts,
        request_id=listing.id,
        items=[listing.items[p] for p in positions],
        values={name: pack_floats(column) for name, column in columns.items()},
    )
    return Viewed(request, [(positions, report)], list(event.answers.items()))
