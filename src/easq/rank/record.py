"""The log entry of a ranking.

Shapes: N candidates of one request, L of them logged.
"""

import random
from dataclasses import dataclass

import numpy as np

from easq.arrays import F32, I64
from easq.features.columns import Columns, Shape
from easq.log.events import Request
from easq.log.packing import pack_counts, pack_floats

PROPOSED = 3
"""Of a ranking in the shadow, so many of what we would have put first are logged, shown or not."""


@dataclass(frozen=True)
class RankingRecord:
    """One ranking with all that it was made from.

    `order_N` holds the places of the candidates, best first. `propensity_N`, in the same order, is the
    probability of each to be among the first `top`; None, with a `top` of 0, if rankings are not explored.
    The caller gets the first `limit`, or all; in the shadow, `limit` is how many it showed.
    """

    request_id: str
    user_id: str
    ts: int
    items: list[str]
    viewer: Columns
    candidates: Columns
    scores_N: F32
    order_N: I64
    propensity_N: F32 | None
    top: int
    arm: str
    version: str
    as_of: list[int]
    limit: int | None
    is_shadow: bool

    def event(self, rank_L: I64, viewer_shape: Shape, candidate_shape: Shape) -> Request:
        """Return the event to log, with the candidates at the ranks `rank_L`."""
        place_L = self.order_N[rank_L]
        candidates, lengths = self.candidates.take(place_L).pack(candidate_shape)
        return Request(
            event_id=self.request_id,
            user_id=self.user_id,
            ts=self.ts,
            items=[self.items[n] for n in place_L.tolist()],
            viewer=self.viewer.pack(viewer_shape)[0],
            candidates=candidates,
            lengths=lengths,
            scores=pack_floats(self.scores_N[place_L]),
            ranks=pack_counts(rank_L),
            num_candidates=len(self.order_N),
            num_returned=0 if self.limit is None else self.limit,
            version=self.version,
            arm=self.arm,
            as_of=self.as_of,
            propensities=b"" if self.propensity_N is None else pack_floats(self.propensity_N[rank_L]),
            top=self.top,
            is_shadow=self.is_shadow,
        )


def logged_ranks(request_id: str, num_candidates: int, top: int, sample: int) -> I64:
    """Return the ranks to log, in order: the first `top`, and `sample` of the others.

    The others are drawn evenly. The seed is the request's id.
    """
    others = range(min(top, num_candidates), num_candidates)
    drawn = random.Random(request_id).sample(others, min(sample, len(others)))
    return np.array([*range(others.start), *sorted(drawn)], np.int64)
