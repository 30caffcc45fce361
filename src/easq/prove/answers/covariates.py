"""What a response model reads of an ask: the view's features as served, what was done, and when it came.

Shapes: N asks, F values described of each, P covariates made of them.
"""

from collections.abc import Sequence

import numpy as np

from easq.arrays import F64
from easq.features.batch import reported
from easq.features.examples import Viewed
from easq.log.packing import FLOAT, ID, Column, unpack_counts, unpack_floats, unpack_ids
from easq.prove.answers.asks import AskRecord
from easq.recipe.features import BehaviorKind, Categorical, Feature, History, Numeric

_DAY_MS = 86_400_000
_LEVELS, _LEAST_SHARE = 8, 0.01


class Covariates:
    """Describes asks by a recipe's features and behaviours.

    Categories become indicators of their most frequent values, lists their length.
    """

    def __init__(self, features: Sequence[Feature], behaviors: Sequence[BehaviorKind]) -> None:
        self._features, self._behaviors = list(features), list(behaviors)
        self._names = [f.name for f in features] + [f"shown {b.name}" for b in behaviors]
        self._names += ["hour (sine)", "hour (cosine)", "place in the request", "ask number", "earlier views"]

    def describe(self, view: Viewed, ask: AskRecord, earlier_views: int) -> F64:
        """Return one value for each feature and each behaviour shown, the hour, and where the ask stood."""
        request, at = view.request, ask.position
        values = [self._value(view, feature, at) for feature in self._features]
        value_NK, _ = reported([view], np.array([0, len(request.items)]), self._behaviors)
        values += (value_NK[at] >= [b.at_least for b in self._behaviors]).astype(float).tolist()
        angle = 2 * np.pi * (ask.event.ts % _DAY_MS) / _DAY_MS
        values += [np.sin(angle), np.cos(angle), float(at), np.log(ask.number), np.log1p(earlier_views)]
        return np.array(values, np.float64)

    def matrix(self, described_NF: F64) -> tuple[list[str], F64]:
        """Return names and values of the covariates that vary; unknown numbers are means, and told apart."""
        names: list[str] = []
        columns: list[F64] = []
        for place, name in enumerate(self._names):
            value_N = described_NF[:, place]
            if place < len(self._features) and isinstance(self._features[place], Categorical):
                for label, is_level_N in _levels(value_N):
                    names.append(f"{name} = {label}")
                    columns.append(is_level_N)
                continue
            is_unknown_N = ~np.isfinite(value_N)
            if is_unknown_N.any():
                names.append(f"{name} unknown")
                columns.append(is_unknown_N.astype(np.float64))
                known = value_N[~is_unknown_N]
                value_N = np.where(is_unknown_N, known.mean() if len(known) else 0.0, value_N)
            names.append(name)
            columns.append(value_N)
        kept = [n for n, column in enumerate(columns) if column.std() > 0]
        if not kept:
            return [], np.zeros((len(described_NF), 0))
        return [names[n] for n in kept], np.stack([columns[n] for n in kept], 1)

    def _value(self, view: Viewed, feature: Feature, at: int) -> float:
        request = view.request
        is_viewer = isinstance(feature, History) or feature.side == "viewer"
        column: Column | None = (request.viewer if is_viewer else request.candidates).get(feature.name)
        if column is None:
            return float("nan")
        if isinstance(feature, Numeric | Categorical):
            size = FLOAT.itemsize if isinstance(feature, Numeric) else ID.itemsize
            place = 0 if is_viewer else at
            if len(column) < (place + 1) * size:
                return float("nan")
            values = unpack_floats(column) if isinstance(feature, Numeric) else unpack_ids(column)
            return float(values[place])
        if is_viewer:
            return float(len(column) // ID.itemsize)
        return float(unpack_counts(request.lengths[feature.name])[at])


def _levels(value_N: F64) -> list[tuple[str, F64]]:
    """Return indicators of the most frequent values; ids of texts are named by their rank."""
    level_L, count_L = np.unique(value_N[np.isfinite(value_N)], return_counts=True)
    order = np.argsort(-count_L, kind="stable")[:_LEVELS]
    return [
        (
            f"{level_L[n]:.0f}" if abs(level_L[n]) < 1e6 else f"value {rank + 1}",
            (value_N == level_L[n]).astype(np.float64),
        )
        for rank, n in enumerate(order.tolist())
        if count_L[n] >= _LEAST_SHARE * len(value_N)
    ]
