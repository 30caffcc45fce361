"""Drawn requests of a log as arrays, scored by models that never served them.

Memory holds one row for each candidate within reach of the draw. Candidates that the service did not log
are beyond it (`explore.depth` is at most `service.log_top`).
Shapes: Q requests, N candidates of all requests, M models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F64, Bool
from easq.errors import InputError
from easq.features.encode import Encoder
from easq.log.base import EventLog
from easq.log.events import Request
from easq.prove.offpolicy.estimators import Explored
from easq.prove.offpolicy.request_rows import LoggedRows, floats, read_rows, standard
from easq.rank.parameters import Parameters
from easq.recipe.recipe import Recipe

Scores = Callable[[Sequence[Request]], NDArray[np.floating]]
"""Scores of all logged candidates of some requests, one behind the other, by each model (N, M)."""


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


class _Drawn:
    """Places candidates within reach of the draw."""

    def __init__(self, scores: Scores, keep: Callable[[Request], bool]) -> None:
        self._scores, self._keep = scores, keep
        self.tops: set[int] = set()

    def counts(self, request: Request) -> bool:
        return self._keep(request) and bool(request.propensities)

    def columns(self, rows: LoggedRows) -> tuple[dict[str, F64], Bool]:
        top_Q = np.array([r.top for r in rows.requests])
        self.tops |= set(top_Q.tolist())
        propensity_N = floats([r.propensities for r in rows.requests])
        columns = {
            "first": (rows.exposed_N & (rows.rank_N < top_Q[rows.request_N])).astype(np.float64),
            "propensity": propensity_N,
            "served": floats([r.scores for r in rows.requests]),
            "score": np.asarray(self._scores(rows.requests), np.float64),
        }
        return columns, propensity_N > 0


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
    drawn = _Drawn(scores, keep)
    rows = read_rows(recipe, log, drawn, since)
    if rows is None:
        raise InputError("no request of the log was drawn: see [explore], which must have been on")
    if len(drawn.tops) > 1:
        tops = ", ".join(map(str, sorted(drawn.tops)))
        raise InputError(f"explore.top was changed within the log ({tops}); read a part with one value")
    served_N, score_NM = rows.placed["served"], rows.placed["score"]
    columns = [standard(score_N, rows.request_N) for score_N in (served_N, *score_NM.T)]
    feature_NF = np.stack(columns, 1)
    answer_N, clipped = rows.answer_weights(feature_NF)
    explored = Explored(
        rows.request_N,
        rows.user_Q,
        drawn.tops.pop(),
        rows.placed["first"] > 0,
        rows.placed["propensity"],
        answer_N,
        rows.satisfied_N,
        feature_NF,
    )
    reached = len(served_N) / max(rows.num_candidates, 1)
    return DrawnLog(explored, served_N, score_NM, reached, clipped)
