"""Explain a ranking: its first candidate against its second, by the newest parameters.

Serving computes no satisfaction score, but the published parameters contain everything needed for it. So the
scores here are those of the newest published parameters, next to the ones that were served and logged.
Shapes: C candidates of one request, F features of a candidate; the first two rows are compared.
"""

from typing import Any, TypeGuard

import numpy as np

from easq.arrays import F32, I64
from easq.errors import InputError
from easq.features.columns import UNKNOWN, Columns, List, Shape, stack, unpack
from easq.features.encode import ServingEncoder
from easq.home.home import Home
from easq.log.base import EventLog
from easq.log.events import EVENTS, Event, Request
from easq.log.packing import unpack_counts, unpack_floats
from easq.rank.parameters import Parameters
from easq.rank.pinned_model import newest
from easq.recipe.recipe import Recipe

_BACK = 512  # offsets of a partition, before its end, that are searched for rankings
_TEXT_HASH = 1 << 40
_MOST_ARMS = 4


class LoggedScorer:
    """Behavior and satisfaction scores of logged candidates by some parameters, with features as served."""

    def __init__(self, recipe: Recipe, parameters: Parameters) -> None:
        self._parameters = parameters
        self._encoder = ServingEncoder(recipe.features, recipe.row_salt)
        self.viewer_shape, self.shape = self._encoder.viewer_shape, self._encoder.candidate_shape

    @property
    def name(self) -> str:
        """Return the name of the parameters' version."""
        return self._parameters.name

    def score(self, viewer: Columns, candidates: Columns) -> tuple[F32, F32 | None]:
        """Return behavior scores of pairs of candidates, and their satisfaction scores or None."""
        # Pairs are requests of their own: a set-wise model compares the candidates of one request.
        request_N = np.arange(len(candidates)) // 2
        return self._parameters.explain(self._encoder.encode(viewer, candidates, request_N))


def newest_scorer(home: Home) -> LoggedScorer | None:
    """Return a scorer by the newest parameters that a home's learner published; None if none can be read."""
    try:
        return LoggedScorer(home.recipe, newest(home).parameters)
    except InputError:
        return None


def newest_rankings(log: EventLog, limit: int) -> list[Request]:
    """Return the newest rankings of each label of arms that were served from models, newest first.

    Only the last events of each partition are searched, so a large log costs no more than a small one.
    """
    requests: list[Request] = []
    for partition, (start, end) in enumerate(
        zip(log.start_offsets(EVENTS), log.end_offsets(EVENTS), strict=True)
    ):
        events = log.read(EVENTS, partition, max(start, end - _BACK), _BACK)
        requests += [e for e in events if _is_ranked(e)]
    of_arm: dict[str, list[Request]] = {}
    for event in sorted(requests, key=lambda e: (-e.ts, e.event_id)):
        if len(newest := of_arm.setdefault(event.arm, [])) < limit:
            newest.append(event)
    return [event for newest in list(of_arm.values())[:_MOST_ARMS] for event in newest]


def _is_ranked(event: Event) -> TypeGuard[Request]:
    """Return whether an event is a ranking that its caller got, of several items."""
    return isinstance(event, Request) and bool(event.scores) and len(event.items) > 1 and not event.is_shadow


def explain(request: Request, scorer: LoggedScorer) -> dict[str, Any]:
    """Return the winner against the runner-up of a logged ranking, fit for JSON.

    For each feature of a candidate: both values, and how much the winner's lead (its score minus the
    runner-up's) would shrink if only that feature had the runner-up's value. Joint effects of features belong
    to none of them, so the parts need not add up to the lead.
    """
    viewer = unpack(scorer.viewer_shape, request.viewer, {}, 1)
    logged = unpack(scorer.shape, request.candidates, request.lengths, len(request.items))
    order = np.argsort(unpack_counts(request.ranks))[:2]
    pair = logged.take(order)
    swapped = [_swapped(pair, scorer.shape, name) for name in scorer.shape.names]
    behavior, satisfaction = scorer.score(viewer, stack([pair, *swapped]))
    served = unpack_floats(request.scores)[order]
    sides = [
        {
            "item": request.items[n],
            "served": float(served[row]),
            "behavior": float(behavior[row]),
            "satisfaction": None if satisfaction is None else float(satisfaction[row]),
        }
        for row, n in enumerate(order.tolist())
    ]
    features = []
    for place, name in enumerate(scorer.shape.names):
        mine, other = (_value(pair, scorer.shape, name, row) for row in (0, 1))
        moved = 2 * (place + 1)
        features.append(
            {
                "name": name,
                "values": [mine, other],
                "behavior": float(behavior[0] - behavior[moved]),
                "satisfaction": None
                if satisfaction is None
                else float(satisfaction[0] - satisfaction[moved]),
            }
        )
    return {
        "request": request.event_id,
        "viewer": request.user_id,
        "at_ms": request.ts,
        "arm": request.arm,
        "served_version": request.version,
        "version": scorer.name,
        "candidates": request.num_candidates or len(request.items),
        "sides": sides,
        "features": features,
    }


def _swapped(pair: Columns, shape: Shape, name: str) -> Columns:
    """Return the pair with the runner-up's value of one feature in both rows."""
    ids_2K, numbers_2M, lists = pair.ids_NK.copy(), pair.numbers_NM.copy(), list(pair.lists)
    for k, single in enumerate(shape.singles):
        if single.name == name:
            ids_2K[0, k] = ids_2K[1, k]
    for m, number in enumerate(shape.numbers):
        if number.name == name:
            numbers_2M[0, m] = numbers_2M[1, m]
    for n, feature in enumerate(shape.lists):
        if feature.name == name:
            lists[n] = List(pair.lists[n].ids_NL[[1, 1]], pair.lists[n].count_N[[1, 1]])
    vectors = [
        vector_2D[[1, 1]] if vector.name == name else vector_2D
        for vector, vector_2D in zip(shape.vectors, pair.vectors, strict=True)
    ]
    return Columns(ids_2K, numbers_2M, tuple(lists), tuple(vectors))


def _value(columns: Columns, shape: Shape, name: str, row: int) -> str:
    """Return a value as a short text; the log holds only hashes of texts."""
    for k, single in enumerate(shape.singles):
        if single.name == name:
            return _ids_text([int(columns.ids_NK[row, k])])
    for m, number in enumerate(shape.numbers):
        if number.name == name:
            value = float(columns.numbers_NM[row, m])
            return "unknown" if np.isnan(value) else f"{value:.4g}"
    for n, vector in enumerate(shape.vectors):
        if vector.name == name:
            vector_D = columns.vectors[n][row]
            first = " ".join(f"{value:.3g}" for value in vector_D[:3].tolist())
            return "unknown" if np.isnan(vector_D).any() else f"{first}{' …' if vector.dim > 3 else ''}"
    n = next(n for n, feature in enumerate(shape.lists) if feature.name == name)
    ids: I64 = columns.lists[n].ids_NL[row, : columns.lists[n].count_N[row]]
    return _ids_text(ids[:4].tolist()) + (" …" if len(ids) > 4 else "") or "none"


def _ids_text(ids: list[int]) -> str:
    def one(number: int) -> str:
        if number == UNKNOWN:
            return "unknown"
        return str(number) if abs(number) < _TEXT_HASH else f"#{number & 0xFFFFFF:06x}"

    return " ".join(one(number) for number in ids)
