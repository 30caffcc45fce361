"""Covariates of a logged ask: the view's features as served, its behavior, and the time of the ask.

Shapes: N asks, F values of each.
"""

from collections.abc import Sequence

import numpy as np

from easq.arrays import F64
from easq.features.batch import reported
from easq.features.examples import Viewed
from easq.log.packing import FLOAT, ID, Column, unpack_counts, unpack_floats, unpack_ids
from easq.prove.answers.asks import AskRecord
from easq.prove.answers.response_model import Design, time_of_day
from easq.recipe.features import BehaviorKind, Categorical, Feature, History, Number, Vector


class Covariates:
    """Describes asks by a recipe's features and behaviors.

    Categories become indicators of their most frequent values; lists are replaced by their length. Vectors
    are left out: their many numbers would need more asks than there are.
    """

    def __init__(self, features: Sequence[Feature], behaviors: Sequence[BehaviorKind]) -> None:
        features = [f for f in features if not isinstance(f, Vector)]
        self._features, self._behaviors = features, list(behaviors)
        self._names = [f.name for f in features] + [f"shown {b.name}" for b in behaviors]
        self._names += ["hour (sine)", "hour (cosine)", "place in the request", "ask number", "earlier views"]
        self._categories = [f.name for f in features if isinstance(f, Categorical)]

    def describe(self, view: Viewed, ask: AskRecord, earlier_views: int) -> F64:
        """Return one value per feature and behavior, the time of day, and the ask's position."""
        request, at = view.request, ask.position
        values = [self._value(view, feature, at) for feature in self._features]
        value_NK, _ = reported([view], np.array([0, len(request.items)]), self._behaviors)
        values += (value_NK[at] >= [b.at_least for b in self._behaviors]).astype(float).tolist()
        values += [float(x[0]) for x in time_of_day(np.array([ask.event.ts])).values()]
        values += [float(at), np.log(ask.number), np.log1p(earlier_views)]
        return np.array(values, np.float64)

    def design(self, described_NF: F64) -> Design:
        """Return the covariates of described asks."""
        return Design.of(dict(zip(self._names, described_NF.T, strict=True)), self._categories)

    def _value(self, view: Viewed, feature: Feature, at: int) -> float:
        request = view.request
        is_viewer = isinstance(feature, History) or feature.side == "viewer"
        column: Column | None = (request.viewer if is_viewer else request.candidates).get(feature.name)
        if column is None:
            return float("nan")
        if isinstance(feature, Number | Categorical):
            size = FLOAT.itemsize if isinstance(feature, Number) else ID.itemsize
            place = 0 if is_viewer else at
            if len(column) < (place + 1) * size:
                return float("nan")
            values = unpack_floats(column) if isinstance(feature, Number) else unpack_ids(column)
            return float(values[place])
        if is_viewer:
            return float(len(column) // ID.itemsize)
        return float(unpack_counts(request.lengths[feature.name])[at])
