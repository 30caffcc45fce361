"""Drawn requests of a log as arrays, scored by models that never served them.

Memory holds one row for each candidate within reach of the draw. Candidates that the service did not log
are beyond it (`explore.depth` is at most `service.log_top`).
Shapes: N candidates of all requests, M models, K behaviors, A asked ones.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F64, I64, Bool
from easq.errors import InputError
from easq.features.batch import reported
from easq.features.encode import Encoder
from easq.features.examples import AnsweredView, Viewed
from easq.features.join import build_joiner, flush_all
from easq.log.base import EventLog
from easq.log.events import EVENTS, Asked, Request
from easq.log.ids import stable_id
from easq.log.merge import MergedReader
from easq.log.packing import COUNT, FLOAT
from easq.prove.answers.response_model import Design, log_values, response_weights
from easq.prove.answers.weight_bound import inverse_weights
from easq.prove.offpolicy.estimators import Explored
from easq.rank.parameters import Parameters
from easq.recipe.recipe import Recipe

Scores = Callable[[Sequence[Request]], NDArray[np.floating]]
"""Scores of all logged candidates of some requests, one behind the other, by each model (N, M)."""

_TOGETHER = 512


@dataclass(frozen=True)
class DrawnLog:
    """The drawn requests of a log, with each model's scores of their candidates.

    `served_N` are the scores as logged: their order is the log's own ranking before the draw. `reached` is
    the share of all candidates that the draw could place first; only these are rows here. `clipped` answers
    weigh less than the inverse of the chance that they were asked for (prove/answers/weight_bound.py).
    """

    explored: Explored
    served_N: F64
    score_NM: F64
    reached: float
    clipped: int


class _DrawnRows:
    """Gathers requests with what was seen, asked and answered."""

    def __init__(self, recipe: Recipe, scores: Scores) -> None:
        self._recipe, self._scores = recipe, scores
        self._best = len(recipe.question.options) - 1
        self._waiting: list[Viewed] = []
        self._columns: dict[str, list[NDArray[np.generic]]] = {}
        self._users: list[int] = []
        self._tops: set[int] = set()
        self._num_candidates = 0
        self._asked: dict[str, set[str]] = {}
        self._answers: dict[str, list[AnsweredView]] = {}

    def add(self, example: Viewed | AnsweredView, is_kept: bool) -> None:
        """Add an example; answers after a request's window has closed are left out."""
        request = example.request
        is_used = is_kept and bool(request.propensities)
        if isinstance(example, AnsweredView):
            if is_used and not example.after_view:
                self._answers.setdefault(request.event_id, []).append(example)
        elif is_used:
            self._waiting.append(example)
            if len(self._waiting) >= _TOGETHER:
                self.settle()
        else:
            self._asked.pop(request.event_id, None)

    def add_ask(self, event: Asked) -> None:
        """Add an ask."""
        if event.question == self._recipe.question.name:
            self._asked.setdefault(event.request_id, set()).add(event.item_id)

    def settle(self) -> None:
        """Turn the waiting requests into rows."""
        views, self._waiting = self._waiting, []
        if not views:
            return
        requests = [view.request for view in views]
        start_Q = np.concatenate([[0], np.cumsum([len(r.items) for r in requests])])
        request_N = np.repeat(np.arange(len(requests)), np.diff(start_Q))
        value_NK, exposed_N = reported(views, start_Q, self._recipe.behaviors)
        rank_N = np.frombuffer(b"".join(r.ranks for r in requests), COUNT).astype(np.int64)
        top_Q = np.array([r.top for r in requests])
        columns = {
            "request": len(self._users) + request_N,
            "first": exposed_N & (rank_N < top_Q[request_N]),
            "propensity": _floats(r.propensities for r in requests),
            "served": _floats(r.scores for r in requests),
            "score": np.asarray(self._scores(requests), np.float64),
            "did": log_values(value_NK),
            **self._replies(requests, start_Q),
        }
        order_N = np.lexsort((ties([item for r in requests for item in r.items]), request_N))
        order_N = order_N[columns["propensity"][order_N] > 0]
        for name, column in columns.items():
            self._columns.setdefault(name, []).append(column[order_N])
        self._users += [stable_id(r.user_id) for r in requests]
        self._tops |= set(top_Q.tolist())
        self._num_candidates += sum(r.num_candidates for r in requests)

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
        return {"asked": asked_N > 0, "worth": worth_N, "asked_chance": chance_N, "satisfied": satisfied_N}

    def result(self) -> DrawnLog:
        """Return all rows, answers weighed for who answers."""
        self.settle()
        if not self._columns:
            raise InputError("no request of the log was drawn: see [explore], which must have been on")
        if len(self._tops) > 1:
            tops = ", ".join(map(str, sorted(self._tops)))
            raise InputError(f"explore.top was changed within the log ({tops}); read a part with one value")
        c = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        columns = [c["served"], *c["score"].T]
        feature_NF = np.stack([_standard(column, c["request"]) for column in columns], 1)
        is_asked_N = c["asked"]
        asked = Design.of(
            {
                **{f"score {n}": score_N[is_asked_N] for n, score_N in enumerate(feature_NF.T)},
                **{f"behavior {k}": value_N[is_asked_N] for k, value_N in enumerate(c["did"].T)},
            }
        )
        is_answered_N = (c["worth"] > 0) & (c["asked_chance"] > 0)
        c["worth"][is_asked_N] *= response_weights(asked, is_answered_N[is_asked_N])
        answer_N, clipped = inverse_weights(c["asked_chance"], c["worth"])
        explored = Explored(
            c["request"],
            np.unique(self._users, return_inverse=True)[1],
            self._tops.pop(),
            c["first"],
            c["propensity"],
            answer_N,
            c["satisfied"],
            feature_NF,
        )
        reached = len(c["request"]) / max(self._num_candidates, 1)
        return DrawnLog(explored, c["served"], c["score"], reached, clipped)


def ties(items: Sequence[str]) -> I64:
    """Return tie-breaking keys for candidates of equal scores, smaller first.

    It must not be their order in the log, which is the order of the draw: a ranking that copied it would seem
    to prefer what happened to be shown.
    """
    return np.array([stable_id(item) for item in items], np.int64)


def scores_of(recipe: Recipe, *models: Parameters) -> Scores:
    """Return the scores that models' parameters give to the candidates as logged."""
    encoder = Encoder(recipe.features, recipe.row_salt)

    def scores(requests: Sequence[Request]) -> NDArray[np.floating]:
        rows = encoder.encode(requests)
        return np.stack([model.score(rows) for model in models], 1)

    return scores


def read_explored(
    recipe: Recipe,
    log: EventLog,
    scores: Scores,
    keep: Callable[[Request], bool] = lambda _: True,
    since: Sequence[int] = (),
) -> DrawnLog:
    """Read a log once and return the drawn requests that `keep` selects, scored by other models.

    With `since` only requests from these offsets on count, one offset for each partition, because a model may
    have learned from earlier ones. Raises InputError if no request was drawn, or if their `top` differs.
    """
    until, begin = log.end_offsets(EVENTS), log.start_offsets(EVENTS)
    begin = [max(pair) for pair in zip(begin, since, strict=True)] if since else begin
    joiners = [build_joiner(recipe) for _ in until]
    rows = _DrawnRows(recipe, scores)
    for chunk in MergedReader(log, EVENTS, until, begin):
        for partition, event in chunk:
            if isinstance(event, Asked):
                rows.add_ask(event)
            for example in joiners[partition].push(event):
                rows.add(example, keep(example.request))
            joiners[partition].take_late()
    for example in flush_all(joiners):
        rows.add(example, keep(example.request))
    return rows.result()


def _floats(columns: Iterable[bytes]) -> F64:
    return np.frombuffer(b"".join(columns), FLOAT).astype(np.float64)


def _standard(value_N: F64, request_N: I64) -> F64:
    """Standardize scores within their request: raw scores of two models cannot be compared."""
    count_Q = np.bincount(request_N)
    mean_Q = np.bincount(request_N, value_N) / np.maximum(count_Q, 1)
    square_Q = np.bincount(request_N, (value_N - mean_Q[request_N]) ** 2) / np.maximum(count_Q, 1)
    spread_Q = np.where(square_Q > 0, np.sqrt(square_Q), 1.0)
    standard_N: F64 = (value_N - mean_Q[request_N]) / spread_Q[request_N]
    return standard_N
