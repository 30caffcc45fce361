"""Requests of a log as arrays, a row for each candidate, with what was seen, asked and answered.

Which requests count, and what stands in their rows beside that, is up to a `Placing`.
Shapes: N candidates of all requests, K behaviors, A asked ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F64, I64, Bool
from easq.features.batch import reported
from easq.features.examples import AnsweredView, Viewed
from easq.features.join import build_joiner, flush_all
from easq.log.base import EventLog
from easq.log.events import EVENTS, Asked, Request
from easq.log.ids import stable_id
from easq.log.merge import MergedReader
from easq.log.packing import COUNT, FLOAT
from easq.prove.answers.response_model import Design, log_values, response_weights
from easq.prove.answers.weight_bound import BoundedWeights, inverse_weights
from easq.recipe.recipe import Recipe

_TOGETHER = 512


class LoggedRows(NamedTuple):
    """Candidates as logged, some requests one behind the other: ranks, and whether a candidate was seen."""

    requests: Sequence[Request]
    request_N: I64
    rank_N: I64
    exposed_N: Bool


class Placing(Protocol):
    """Says which requests count, and what their rows hold."""

    def counts(self, request: Request) -> bool:
        """Return whether a request counts."""
        ...

    def columns(self, rows: LoggedRows) -> tuple[dict[str, F64], Bool]:
        """Return columns of the rows, and which rows are kept."""
        ...


@dataclass(frozen=True)
class RequestColumns:
    """What was gathered: N rows, each request's viewer, and how many candidates there were in all.

    request_N     a number for each request, from 0.
    did_NK        behaviors on a log scale.
    asked_N       whether an answer was asked for.
    satisfied_N   1 for a satisfied answer.
    worth_N       the weight of an answer, 0 without one; `chance_N` is the chance that it was asked for.
    placed        the columns of the `Placing`.
    """

    request_N: I64
    did_NK: F64
    asked_N: Bool
    satisfied_N: F64
    worth_N: F64
    chance_N: F64
    placed: dict[str, F64]
    user_Q: I64
    num_candidates: int
    first_ms: int
    last_ms: int

    def answer_weights(self, feature_NF: F64) -> BoundedWeights:
        """Return the number of views that each answer represents; who answers may depend on the features."""
        asked_N, worth_N = self.asked_N, self.worth_N.copy()
        columns = [*feature_NF.T, *self.did_NK.T]
        design = Design.of({f"column {n}": value_N[asked_N] for n, value_N in enumerate(columns)})
        is_answered_N = (worth_N > 0) & (self.chance_N > 0)
        worth_N[asked_N] *= response_weights(design, is_answered_N[asked_N])
        return inverse_weights(self.chance_N, worth_N)


class _Gatherer:
    """Gathers requests until they are rows."""

    def __init__(self, recipe: Recipe, placing: Placing) -> None:
        self._recipe, self._placing = recipe, placing
        self._best = len(recipe.question.options) - 1
        self._waiting: list[Viewed] = []
        self._columns: dict[str, list[NDArray[Any]]] = {}
        self._placed: dict[str, list[F64]] = {}
        self._users: list[int] = []
        self._num_candidates = 0
        self._first_ms = self._last_ms = 0
        self._asked: dict[str, set[str]] = {}
        self._answers: dict[str, list[AnsweredView]] = {}

    def add(self, example: Viewed | AnsweredView) -> None:
        """Add an example; answers after a request's window has closed are left out."""
        request = example.request
        counts = self._placing.counts(request)
        if isinstance(example, AnsweredView):
            if counts and not example.after_view:
                self._answers.setdefault(request.event_id, []).append(example)
        elif counts:
            self._waiting.append(example)
            if len(self._waiting) >= _TOGETHER:
                self._settle()
        else:
            self._asked.pop(request.event_id, None)

    def add_ask(self, event: Asked) -> None:
        """Add an ask."""
        if event.question == self._recipe.question.name:
            self._asked.setdefault(event.request_id, set()).add(event.item_id)

    def _settle(self) -> None:
        """Turn the waiting requests into rows."""
        views, self._waiting = self._waiting, []
        if not views:
            return
        requests = [view.request for view in views]
        start_Q = np.concatenate([[0], np.cumsum([len(r.items) for r in requests])])
        request_N = np.repeat(np.arange(len(requests)), np.diff(start_Q))
        value_NK, exposed_N = reported(views, start_Q, self._recipe.behaviors)
        rank_N = np.frombuffer(b"".join(r.ranks for r in requests), COUNT).astype(np.int64)
        placed, kept_N = self._placing.columns(LoggedRows(requests, request_N, rank_N, exposed_N))
        columns = {
            "request_N": len(self._users) + request_N,
            "did_NK": log_values(value_NK),
            **self._replies(requests, start_Q),
        }
        order_N = np.lexsort((ties([item for r in requests for item in r.items]), request_N))
        order_N = order_N[kept_N[order_N]]
        for name, column in columns.items():
            self._columns.setdefault(name, []).append(column[order_N])
        for name, placed_N in placed.items():
            self._placed.setdefault(name, []).append(placed_N[order_N])
        self._users += [stable_id(r.user_id) for r in requests]
        self._num_candidates += sum(r.num_candidates for r in requests)
        times = [r.ts for r in requests]
        self._first_ms = min(self._first_ms or times[0], *times)
        self._last_ms = max(self._last_ms, *times)

    def _replies(self, requests: Sequence[Request], start_Q: I64) -> dict[str, F64 | Bool]:
        """Return asks and answers, one row for each candidate."""
        asked_N, worth_N, chance_N, satisfied_N = np.zeros((4, int(start_Q[-1])))
        for request, start in zip(requests, start_Q.tolist(), strict=False):
            places = {item: start + n for n, item in enumerate(request.items)}
            for item in self._asked.pop(request.event_id, ()):
                if item in places:
                    asked_N[places[item]] = 1
            for answered in self._answers.pop(request.event_id, ()):
                place = start + answered.position
                asked_N[place] = 1
                worth_N[place], chance_N[place] = answered.weight, answered.propensity
                satisfied_N[place] = answered.option == self._best
        return {
            "asked_N": asked_N > 0,
            "satisfied_N": satisfied_N,
            "worth_N": worth_N,
            "chance_N": chance_N,
        }

    def result(self) -> RequestColumns | None:
        """Return all rows; None if no request counted."""
        self._settle()
        if not self._columns:
            return None
        return RequestColumns(
            **{name: np.concatenate(parts) for name, parts in self._columns.items()},
            placed={name: np.concatenate(parts) for name, parts in self._placed.items()},
            user_Q=np.unique(self._users, return_inverse=True)[1],
            num_candidates=self._num_candidates,
            first_ms=self._first_ms,
            last_ms=self._last_ms,
        )


def read_rows(
    recipe: Recipe,
    log: EventLog,
    placing: Placing,
    since: Sequence[int] = (),
) -> RequestColumns | None:
    """Read a log once, from these offsets of its partitions on if given; None if no request counts."""
    until, begin = log.end_offsets(EVENTS), log.start_offsets(EVENTS)
    begin = [max(pair) for pair in zip(begin, since, strict=True)] if since else begin
    joiners = [build_joiner(recipe) for _ in until]
    rows = _Gatherer(recipe, placing)
    for chunk in MergedReader(log, EVENTS, until, begin):
        for partition, event in chunk:
            if isinstance(event, Asked):
                rows.add_ask(event)
            for example in joiners[partition].push(event):
                rows.add(example)
            joiners[partition].take_late()
    for example in flush_all(joiners):
        rows.add(example)
    return rows.result()


def floats(columns: Sequence[bytes]) -> F64:
    """Return float32 columns of several requests as one array."""
    return np.frombuffer(b"".join(columns), FLOAT).astype(np.float64)


def standard(value_N: F64, request_N: I64) -> F64:
    """Standardize scores within their request: raw scores of two models cannot be compared."""
    count_Q = np.bincount(request_N)
    mean_Q = np.bincount(request_N, value_N) / np.maximum(count_Q, 1)
    square_Q = np.bincount(request_N, (value_N - mean_Q[request_N]) ** 2) / np.maximum(count_Q, 1)
    spread_Q = np.where(square_Q > 0, np.sqrt(square_Q), 1.0)
    standard_N: F64 = (value_N - mean_Q[request_N]) / spread_Q[request_N]
    return standard_N


def ties(items: Sequence[str]) -> I64:
    """Return keys that order the candidates of a request, and so break ties of scores.

    It must not be their order in the log, which is that of what was shown: a ranking that copied it would
    seem to prefer that.
    """
    return np.array([stable_id(item) for item in items], np.int64)
